"""Columns of other names: `--map` and `data.columns`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


PKU = {"prompt": "p", "response_0": "a", "response_1": "b", "better_response_id": 0, "safer_response_id": 1}
LMSYS = {"prompt": "p", "response_a": "a", "response_b": "b", "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}
HELPSTEER = {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": -2}
NECTAR = {"prompt": "p", "answers": [{"answer": "a", "rank": 1}, {"answer": "b", "rank": 2}]}
WEBGPT = {"question": {"full_text": "p"}, "answer_0": "a", "score_0": 0.5, "answer_1": "b", "score_1": -0.5}


@pytest.mark.parametrize(
    ("row", "pairs", "reason"),
    [
        (PKU, ["winner.0=model_b"], "the layout pku-saferlhf reads its votes from better_response_id"),
        (LMSYS, ["winner.0=model_b"], r"the layout lmsys reads its votes from winner_\*"),
        ({**LMSYS, "x": 0, "y": 1}, ["winner_tie=x", "winner=y"], "winner=y has no effect: the layout lmsys"),
        ({"prompt": "p", "response_a": "a", "response_b": "b"}, ["winner.0=model_a"], "Name it, as winner=COLUMN"),
        ({**HELPSTEER, "x": 9}, ["margin=x"], "margin=x has no effect: the layout helpsteer2 does not use it"),
        ({**NECTAR, "x": "model_a"}, ["winner=x"], "winner=x has no effect: the layout nectar"),
        ({**NECTAR, "x": []}, ["response_b=x"], "response_b=x has no effect: the layout nectar"),
        ({**WEBGPT, "x": 3}, ["winner=x"], "winner=x has no effect: the layout webgpt"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "x": 1}, ["winner=x"], "the layout chosen-rejected does not"),
    ],
)
def test_no_part_of_a_mapping_is_ignored(tmp_path: Path, row: dict[str, Any], pairs: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="optional", columns=parse_mapping(pairs))


def test_mapped_columns_take_precedence_over_those_of_the_file(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", [{**LMSYS, "label": "model_b", "good": "c", "bad": "d"}])
    file = read_votes(path, votes="required", columns={"winner": "label"})
    assert (file.layout_name, file.comparisons[0].vote) == ("winner", B_WINS)
    file = read_votes(path, votes="required", columns={"chosen": "good", "rejected": "bad"})
    (comparison,) = file.comparisons
    won = comparison.answer_a if comparison.vote == A_WINS else comparison.answer_b
    assert (file.layout_name, won, {comparison.answer_a, comparison.answer_b}) == (
        "chosen-rejected", ("c",), {("c",), ("d",)},
    )  # fmt: skip


def test_values_of_votes_are_named_without_the_fraction_that_pandas_writes(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("prompt,response_a,response_b,label\np,a,b,0.0\np,a,b,1.0\np,a,b,\n")
    columns = {"winner": "label", "winner.0": "model_a", "winner.1": "model_b"}
    file = read_votes(tmp_path / "v.csv", votes="optional", columns=columns)
    assert [comparison.vote for comparison in file.comparisons] == [A_WINS, B_WINS, None]
