"""Columns of other names: `--map` and `data.columns`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiebreak.data import parse_mapping, read_votes
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

from .votefiles import write_jsonl

ROWS = [{"q": "1 + 1 = ?", "first": "2", "second": "3", "label": label, "winner": "x"} for label in (0, 1, 2.0)]
MAPPING = parse_mapping(
    [
        "prompt=q",
        "response_a=first",
        "response_b=second",
        "winner=label",
        "winner.0=model_a",
        "winner.1=model_b",
        "winner.2=tie",
    ]
)


def test_columns_and_votes_are_read_by_the_mapping(tmp_path: Path) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", ROWS), votes="required", columns=MAPPING)
    assert list(file.comparisons) == [
        Comparison(("1 + 1 = ?",), ("2",), ("3",), vote, str(number))
        for number, vote in enumerate((A_WINS, B_WINS, TIE))
    ]
    sources = {"prompt": "q", "response_a": "first", "response_b": "second", "winner": "label"}
    assert file.column_sources == sources


def test_a_mapped_column_replaces_that_of_a_known_layout(tmp_path: Path) -> None:
    row = {"prompt": "p", "response_0": "a", "response_1": "b", "better_response_id": 0, "safer_response_id": 1}
    path = write_jsonl(tmp_path / "v.jsonl", [row])
    (better,) = read_votes(path, votes="required").comparisons
    file = read_votes(path, votes="required", columns={"winner": "safer_response_id"})
    assert (better.vote, file.comparisons[0].vote) == (A_WINS, B_WINS)
    assert (file.layout_name, file.column_sources["winner"]) == ("pku-saferlhf", "safer_response_id")


def test_a_prompt_column_for_chosen_and_rejected(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", [{"ask": "p", "chosen": "a", "rejected": "b"}])
    (comparison,) = read_votes(path, votes="required", columns={"prompt": "ask"}).comparisons
    assert comparison.prompt == ("p",)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (["prompt"], "expected COLUMN=COLUMN_OF_THE_FILE"),
        (["prompt=q", "prompt=first"], "gives prompt twice"),
        (["question=q"], "question is no column that Tiebreak reads"),
        (["q=prompt"], r"q is no column that Tiebreak reads, but one of the file\. Write prompt=q"),
        (["promt=q"], r"Did you mean prompt\?"),
        (["prompt=question"], r"has no column 'question' for prompt\. Its columns are 'q', 'first'"),
        (["response_a=first", "response_b=first"], "'first' is mapped to response_a and response_b"),
        (["winner=label", "winner.0=left"], "expected one of model_a, model_b, tie"),
    ],
)
def test_mappings_that_do_not_fit_are_refused(tmp_path: Path, pairs: list[str], reason: str) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", ROWS)
    with pytest.raises(DataError, match=reason):
        read_votes(path, votes="required", columns=parse_mapping(pairs))


def test_values_that_a_mapping_of_votes_does_not_name_are_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", [*ROWS, {**ROWS[0], "label": "tie"}, {**ROWS[0], "label": None}])
    partly = {target: column for target, column in MAPPING.items() if target != "winner.2"}
    file = read_votes(path, votes="optional", columns=partly)
    assert [c.vote for c in file.comparisons] == [A_WINS, B_WINS, TIE, None]
    assert str(file.problems[0]) == "line 3, winner: is '2', which the mapping does not name: add winner.2=..."
