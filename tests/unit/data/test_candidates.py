"""Files of prompts with lists of answers."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tiebreak.data import Candidates, read_candidates
from tiebreak.errors import DataError

ROWS = [
    {"id": "x", "prompt": "1 + 1 = ?", "responses": ["2", "3", "11"]},
    {"id": None, "prompt": 'say ["a"]', "responses": ['["a"]', "b"]},
]
READ = (
    Candidates("x", ("1 + 1 = ?",), (("2",), ("3",), ("11",))),
    Candidates("1", ('say ["a"]',), (('["a"]',), ("b",))),
)


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv"])
def test_a_list_of_answers_is_read_from_every_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"candidates.{ending}"
    frame = pd.DataFrame(ROWS)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        frame.assign(responses=[json.dumps(row["responses"]) for row in ROWS]).to_csv(path, index=False)
    assert read_candidates(path) == READ


def test_turns_of_prompt_and_answers_go_together(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text(json.dumps({"prompt": ["hi", "why?"], "responses": [["hello", "so"], ["hello", None]]}) + "\n")
    [row] = read_candidates(path)
    assert row == Candidates("0", ("hi", "why?"), (("hello", "so"), ("hello", "")))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "p", "responses": []}, "line 1: responses is an empty list: give at least one answer"),
        ({"prompt": "p", "responses": "a"}, "line 1: responses is 'a': give a list of answers"),
        ({"prompt": "p", "responses": "[1, "}, "line 1: responses is not a JSON list of answers"),
        ({"prompt": "p", "responses": ["a", 3]}, "line 1: responses[1] is 3, neither text nor a list of turns"),
        ({"prompt": None, "responses": ["a"]}, "line 1: prompt is missing"),
        ({"prompt": ["p", "q"], "responses": ["a"]}, "line 1: responses[0] has 1 turn and the prompt 2: give as many"),
        ({"prompt": "p", "answers": ["a"]}, "has no column 'responses'"),
    ],
)
def test_what_cannot_be_scored_is_named(tmp_path: Path, row: object, said: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError) as error:
        read_candidates(path)
    assert said in str(error.value)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("prompt,responses\n")
    with pytest.raises(DataError, match="has no rows: there is nothing to score"):
        read_candidates(path)
