"""Columns that are not read are named, with what is read instead."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tiebreak.cli import app
from tiebreak.data import from_frame, load_votes, read_votes, summarise
from tiebreak.data.layouts import Layout, unread_columns

TEXTS = ("prompt", "response_a", "response_b")
WINNERS = ("winner_model_a", "winner_model_b", "winner_tie")


@pytest.mark.parametrize(
    ("columns", "layout", "hints"),
    [
        ((*TEXTS, "winner", "weights"), "winner", {"weights": "rename it to weight, if"}),
        ((*TEXTS, "winner", "weight", "sample_weight"), "winner", {"sample_weight": "rename it to weight, if"}),
        ((*TEXTS, *WINNERS, "winner", "Label"), "lmsys", {"winner": "winner_model_a, ", "Label": "read from winner"}),
        ((*TEXTS, "winner", "winner_tie"), "winner", {"winner_tie": "the votes are read from winner"}),
        ((*TEXTS, "winner", "score_a", "score_b", "Tie"), "winner",
         {"score_a": "read from margin", "score_b": "read from margin", "Tie": "winner_tie"}),
        ((*TEXTS, "winner", "margins"), "winner", {"margins": "rename it to margin"}),
        (("prompt", "chosen", "rejected", "score_chosen", "chosen-rating", "model_a"), "chosen-rejected",
         {"score_chosen": "margin", "chosen-rating": "margin", "model_a": "chosen and rejected does not use it"}),
        ((*TEXTS, "winner", "system", "system_prompt", "history"), "winner",
          {"system_prompt": "rename it to system", "history": "put earlier turns into prompt"}),
        ((*TEXTS, "margin", "preference", "weight"), "unlabelled",
         {"margin": "no votes does not", "preference": "--map winner=preference", "weight": "no votes does not"}),
        ((*TEXTS, "winner", "timestamp", "user"), "winner", {"timestamp": "", "user": ""}),
        (("id", *TEXTS, *WINNERS, "margin", "weight", "source", "language", "model_a", "model_b"), "soft", {}),
    ],
)  # fmt: skip
def test_hints(columns: tuple[str, ...], layout: Layout, hints: dict[str, str]) -> None:
    unread = unread_columns(columns, layout)
    assert [column.name for column in unread] == list(hints)
    for column in unread:
        assert hints[column.name] in column.hint
        assert bool(hints[column.name]) == bool(column.hint)


def test_check_and_training_name_them(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("prompt,response_a,response_b,winner,weights,seen\np,a,b,model_a,0.5,x\n")
    assert list(summarise(read_votes(path, votes="required")).unread_columns) == ["weights", "seen"]
    notes: list[str] = []
    load_votes(path, votes="required", on_note=notes.append)
    assert len(notes) == 1
    assert notes[0].startswith(f"{path}: columns that are not read: 'weights' (rename it to weight, if")
    assert "seen" not in notes[0]
    load_votes(path, votes="optional", on_note=notes.append)  # to be judged: votes are not looked for
    assert len(notes) == 1
    with pytest.warns(UserWarning, match="columns that are not read: 'weights'"):
        load_votes(path, votes="required")

    with pytest.warns(UserWarning, match="the data frame: columns that are not read: 'weights'"):
        from_frame(pd.read_csv(path), votes="required")

    shown = CliRunner().invoke(app, ["check", str(path)]).stdout
    assert "not read, but look as if they should be:\n  weights: rename it to weight, if" in shown
    assert "Other columns that are not read: seen" in shown
    as_json = json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)
    assert list(as_json["unread_columns"]) == ["weights", "seen"]

    path.write_text("prompt,response_a,response_b,winner,seen\np,a,b,model_a,x\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_votes(path, votes="required")
