"""`tiebreak convert` as its user runs it: layouts, mappings, what is left out, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import tiebreak
from tests.unit.data.test_converters import LAYOUTS
from tests.unit.data.votefiles import write_jsonl
from tiebreak.data import read_votes
from tiebreak.types import A_WINS, B_WINS


def test_a_known_layout_is_converted_and_its_columns_are_shown(tmp_path: Path) -> None:
    rows = LAYOUTS["helpsteer2"][1]
    path = write_jsonl(
        tmp_path / "h.jsonl", [*rows, {**rows[0], "preference_strength": "much"}, {**rows[0], "response_1": ""}]
    )
    shown = tiebreak("convert", path, "-o", tmp_path / "votes.parquet")
    assert shown.returncode == 0, shown.stderr
    assert "5 rows (jsonl, helpsteer2)" in shown.stdout
    assert "preference_strength (below 0: response_a is better" in " ".join(shown.stdout.split())
    assert "3 comparisons (A 1, tie 1, B 1)" in shown.stdout
    assert "Left out: 2 rows (1 not_a_number, 1 empty_answer)" in shown.stdout
    assert list(read_votes(tmp_path / "votes.parquet", votes="required").comparisons) == LAYOUTS["helpsteer2"][2]
    as_json = json.loads(tiebreak("convert", path, "-o", tmp_path / "votes.csv", "--json").stdout)
    assert (as_json["rows"], as_json["written"], as_json["left_out"]) == (5, 3, 2)
    assert as_json["column_sources"]["response_b"] == "response_2"
    assert as_json["problems"] == {"not_a_number": 1, "empty_answer": 1}


def test_a_file_without_a_column_of_votes_is_told(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", [{"prompt": "p", "response_a": "a", "response_b": "b", "label": 0}])
    shown = " ".join(tiebreak("convert", path, "-o", tmp_path / "votes.csv").stdout.split())
    assert "1 comparison (no vote 1) No row has a vote. Name a column of votes with --map winner=COLUMN" in shown
    named = ("--map", "winner=label", "winner.0=model_b")
    assert "1 comparison (B 1)" in tiebreak("convert", path, "-o", tmp_path / "votes.csv", *named).stdout
    ignored = tiebreak("convert", path, "-o", tmp_path / "votes.csv", "--map", "winner.0=model_b")
    assert ignored.returncode == 1
    assert "has no effect without a column of votes" in " ".join(ignored.stderr.split())


def test_a_mapping_names_the_columns_of_any_table(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("q\tfirst\tsecond\tlabel\n1+1?\t2\t3\t0\n2+2?\t5\t4\t1\n")
    mapping = [
        "prompt=q",
        "response_a=first",
        "response_b=second",
        "winner=label",
        "winner.0=model_a",
        "winner.1=model_b",
    ]
    shown = tiebreak("convert", path, "-o", tmp_path / "votes.jsonl", "--map", *mapping)
    assert shown.returncode == 0, shown.stderr
    converted = read_votes(tmp_path / "votes.jsonl", votes="required")
    assert [(c.prompt, c.answer_a, c.vote) for c in converted.comparisons] == [
        (("1+1?",), ("2",), A_WINS),
        (("2+2?",), ("5",), B_WINS),
    ]
    checked = tiebreak("check", path, *(part for pair in mapping for part in ("--map", pair)), "--json")
    assert json.loads(checked.stdout)["shares"] == {"model_a": 0.5, "model_b": 0.5, "tie": 0.0}
    assert tiebreak("check", path, "--json", "--map", *mapping).stdout == checked.stdout  # as `convert` takes it


def test_a_data_set_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "README.md").write_text("# A set\n")
    before = write_jsonl(tmp_path / "set" / "train.jsonl", LAYOUTS["helpsteer2"][1]).read_bytes()
    for data in ("set", "set:train"):
        shown = tiebreak("convert", data, "-o", "set/train.jsonl", cwd=tmp_path)
        assert shown.returncode == 1
        assert "set/train.jsonl is in the data set to convert" in " ".join(shown.stderr.split())
    assert (tmp_path / "set" / "train.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "votes.txt"], "votes.txt ends in '.txt': votes are written as one of .csv, .jsonl, .parquet"),
        (["-o", "h.jsonl"], "h.jsonl is the file to convert. Write to another file."),
        (["-o", "."], "is a folder: name a file to write"),
        (["-o", "v.csv", "--map", "prompt"], "--map prompt: expected COLUMN=COLUMN_OF_THE_FILE"),
        (["-o", "v.csv", "--map", "prompt=ask"], "has no column 'ask' for prompt"),
        (["-o", "v.csv", "--problem-rows", "refuse"], "1 of 2 rows cannot be used as they are"),
    ],
)
def test_mistakes_are_one_error_and_write_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    rows = LAYOUTS["helpsteer2"][1][:1]
    path = write_jsonl(tmp_path / "h.jsonl", [*rows, {**rows[0], "preference_strength": "much"}])
    before = path.read_bytes()
    shown = tiebreak("convert", "h.jsonl", *arguments, cwd=tmp_path)
    assert shown.returncode == 1
    assert message in " ".join(shown.stderr.split())
    assert "Traceback" not in shown.stderr
    assert (path.read_bytes(), [p.name for p in tmp_path.iterdir()]) == (before, ["h.jsonl"])
