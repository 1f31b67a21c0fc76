"""How rows with problems are handled, in files and data frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tiebreak.data import from_frame, load_comparisons, load_votes
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, TIE, Comparison

from .votefiles import LMSYS, lmsys_row, write_csv

ROWS = [
    lmsys_row(id="1"),
    lmsys_row(id="2", response_a="[null]"),
    lmsys_row(id="3", winner_model_a="x", prompt='["'),
    lmsys_row(id="1", prompt='["Bye"]'),
    lmsys_row(id="5", prompt='["a", null]', response_a='["b", "c"]', response_b='["d", "e"]'),
    lmsys_row(id="6"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "votes.csv", ROWS)


def test_refuse_lists_rows_and_remedies(path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_comparisons(path, votes="required")
    assert str(caught.value).splitlines() == [
        f"{path}: 3 of 6 rows cannot be used as they are:",
        "  line 3, id 2, response_a: is empty",
        "  line 4, id 3, prompt: is not a JSON list of turns: Unterminated string starting at at character 2",
        "  line 4, id 3, winner_*: winner_model_a is 'x': expected 0, 1 or between",
        "  line 5, id 1, id: was used before, on line 2",
        f"`tiebreak check {path}` lists all of them. Fix the file, or give data.problem_rows=skip to leave these rows "
        "out, or data.problem_rows=keep to keep empty texts and repeated ids as they are (1 unreadable row would still "
        "be refused).",
    ]


def test_refuse_stops_listing_after_20_rows(tmp_path: Path) -> None:
    rows = [lmsys_row(id=str(i), response_a="", response_b="") for i in range(25)]
    with pytest.raises(DataError) as caught:
        load_comparisons(write_csv(tmp_path / "v.csv", rows), votes="required")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("25 of 25 rows cannot be used as they are:")
    assert lines[40] == "  line 21, id 19, response_b: is empty"
    assert lines[41] == "  and 5 rows more"
    assert "still be refused" not in lines[42]


def test_skip_leaves_out_invalid_rows_and_reports_them(path: Path) -> None:
    notes: list[str] = []
    kept = load_comparisons(path, votes="required", problem_rows="skip", on_note=notes.append)
    assert [c.id for c in kept] == ["1", "5", "6"]
    assert kept[0].prompt == ("Hi",)
    assert notes == [
        f"{path}: 3 of 6 rows left out; 1 empty_answer, 1 broken_json, 1 not_a_probability, 1 duplicate_id, "
        f"1 empty_turn (`tiebreak check {path}` lists them)"
    ]


def test_skip_warns_without_a_callback(path: Path) -> None:
    with pytest.warns(UserWarning, match="3 of 6 rows left out"):
        load_comparisons(path, votes="required", problem_rows="skip")


def test_keep_refuses_only_the_unreadable(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 6 rows cannot be used") as caught:
        load_comparisons(path, votes="required", problem_rows="keep")
    assert "line 4" in str(caught.value)
    assert "line 3" not in str(caught.value)
    assert "problem_rows=keep" not in str(caught.value)

    notes: list[str] = []
    readable = write_csv(tmp_path / "readable.csv", [ROWS[0], ROWS[1], ROWS[3]])
    kept = load_comparisons(readable, votes="required", problem_rows="keep", on_note=notes.append)
    assert [(c.id, c.answer_a) for c in kept] == [("1", ("Hello",)), ("2", ("",)), ("1", ("Hello",))]
    assert notes == [
        f"{readable}: 3 rows, all kept; 1 empty_answer, 1 duplicate_id (`tiebreak check {readable}` lists them)"
    ]


def test_remedies_name_the_setting_of_the_caller(path: Path) -> None:
    for setting, remedy in (("--problem-rows ", "give --problem-rows skip"), (None, None)):
        with pytest.raises(DataError) as caught:
            load_votes(path, votes="required", setting=setting)
        last = str(caught.value).splitlines()[-1]
        assert "data.problem_rows" not in last
        assert remedy in last if remedy else last.endswith("Fix the file.")


@pytest.mark.parametrize(
    ("ids", "integers"), [([5, 7], True), ([5, None], True), (["5", "7"], False), ([5, True], False), ([5, 7.5], False)]
)
def test_integer_ids_are_distinguished_from_texts(ids: list[object], integers: bool, tmp_path: Path) -> None:
    row = {"prompt": "p", "response_a": "a", "response_b": "b"}
    path = tmp_path / "v.jsonl"
    path.write_text("".join(json.dumps(row | {"id": i}) + "\n" for i in ids))
    assert load_votes(path, votes="optional", on_note=lambda _: None).integer_ids == integers
    path.write_text(json.dumps(row) + "\n")
    assert load_votes(path, votes="optional").integer_ids


def test_notes_do_not_make_rows_invalid(tmp_path: Path) -> None:
    notes: list[str] = []
    load_comparisons(write_csv(tmp_path / "a.csv", [ROWS[4]]), votes="required", on_note=notes.append)
    assert len(notes) == 1
    load_comparisons(write_csv(tmp_path / "b.csv", [ROWS[0]]), votes="required", on_note=notes.append)
    assert len(notes) == 1


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "v.csv", [ROWS[1], ROWS[2]])
    with pytest.raises(DataError, match="2 rows, and none without a problem"):
        load_comparisons(path, votes="required", problem_rows="skip", on_note=lambda _: None)


def test_a_frame_gives_the_same_comparisons_as_its_file(tmp_path: Path) -> None:
    rows = [lmsys_row(id=str(i), prompt=f'["p{i}"]') for i in range(3)]
    path = write_csv(tmp_path / "v.csv", rows)
    expected = load_comparisons(path, votes="required")
    assert from_frame(pd.read_csv(path), votes="required") == expected
    assert from_frame(pd.DataFrame(rows, index=[9, 9, 4]), votes="required") == expected


@pytest.mark.parametrize("answers", [("7", "8"), ("7", ""), ("7.5", "8.25"), ("True", "False")])
def test_numbers_that_pandas_reads_become_texts(answers: tuple[str, str], tmp_path: Path) -> None:
    rows = [lmsys_row(id=str(i), prompt="How many?", response_a=a, response_b="9") for i, a in enumerate(answers)]
    path = write_csv(tmp_path / "v.csv", rows)
    frame = pd.read_csv(path)
    assert frame["response_a"].dtype != object
    if "" in answers:
        with pytest.raises(DataError, match="row 1, id 1, response_a: is empty"):
            from_frame(frame)
        frame, kept = frame[:1], load_comparisons(path, votes="required", problem_rows="skip", on_note=lambda _: None)
        assert from_frame(frame) == kept
    else:
        assert from_frame(frame) == load_comparisons(path, votes="required")


def test_a_frame_of_texts_lists_and_arrays_without_votes() -> None:
    frame = pd.DataFrame(
        {
            "prompt": ["p", ["q", None], np.array(["r"], dtype=object)],
            "response_a": ["a", ["b", "c"], np.array(["d"], dtype=object)],
            "response_b": ["e", ["f", "g"], np.array(["h"], dtype=object)],
        }
    )
    assert from_frame(frame) == (
        Comparison(("p",), ("a",), ("e",), None, "0"),
        Comparison(("q", ""), ("b", "c"), ("f", "g"), None, "1"),
        Comparison(("r",), ("d",), ("h",), None, "2"),
    )


def test_a_frame_with_numpy_and_missing_votes() -> None:
    frame = pd.DataFrame([lmsys_row(), lmsys_row(id="8")])
    frame["winner_model_a"] = np.array([1, 0], dtype=np.int8)
    frame["winner_model_b"] = np.array([False, False])
    frame["winner_tie"] = pd.array([0, 1], dtype="Int64")
    assert [c.vote for c in from_frame(frame)] == [A_WINS, TIE]
    frame = frame.astype({"winner_model_a": "Float64", "winner_model_b": float, "winner_tie": "Int64"})
    frame.loc[1, ["winner_model_a", "winner_model_b", "winner_tie"]] = pd.NA
    assert [c.vote for c in from_frame(frame)] == [A_WINS, None]


def test_a_frame_with_problems_is_refused_by_position() -> None:
    frame = pd.DataFrame(
        [ROWS[0], ROWS[4], {**ROWS[5], "response_a": None}, {**ROWS[5], "prompt": None}], index=list("abcd")
    )
    with pytest.raises(DataError) as caught:
        from_frame(frame)
    assert str(caught.value).splitlines() == [
        "the data frame: 2 of 4 rows cannot be used as they are:",
        "  row 2, id 6, response_a: is empty",
        "  row 3, id 6, id: was used before, on row 2",
        "  row 3, id 6, prompt: is missing",
        "Fix or drop these rows (counted from 0, as in iloc).",
    ]


def test_a_frame_needs_the_columns_of_a_file() -> None:
    with pytest.raises(DataError, match=r"the data frame lacks response_b\.\n"):
        from_frame(pd.DataFrame([lmsys_row()]).rename(columns={"response_b": "response_c"}))
    twice = pd.DataFrame([["p", "a", "b", "c"]], columns=["prompt", "response_a", "response_b", "response_b"])
    with pytest.raises(DataError, match="2 columns named 'response_b'"):
        from_frame(twice)
    assert set(LMSYS) == set(lmsys_row())
