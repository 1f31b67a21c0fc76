"""All problems of files, with their lines and messages."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiebreak.data import read_votes
from tiebreak.errors import DataError

from .votefiles import LMSYS, lmsys_row, write_csv, write_jsonl, write_parquet

HEADER = ",".join(LMSYS)


def problems_of(path: Path) -> list[str]:
    return [str(problem) for problem in read_votes(path, votes="required").problems]


@pytest.mark.parametrize(
    ("cells", "kind", "column", "message"),
    [
        ({"response_a": '["Hello'}, "broken_json", "response_a", "is not a JSON list of turns: Unterminated string"),
        ({"response_b": '["a" "b"]'}, "broken_json", "response_b", "Expecting ',' delimiter at character 6"),
        ({"prompt": '["Hi", 3]'}, "broken_json", "prompt", "has 3 instead of text as turn 2"),
        ({"response_a": "[null, [1]]"}, "broken_json", "response_a", "has [1] instead of text as turn 2"),
        ({"response_a": '["a", "b"]'}, "turn_mismatch", "", "prompt has 1, response_a has 2, response_b has 1"),
        ({"prompt": "[]"}, "turn_mismatch", "", "prompt has 0, response_a has 1, response_b has 1"),
        ({"prompt": "[]", "response_a": "[]", "response_b": "[]"}, "no_turns", "", "lists of no turns"),
        ({"winner_model_a": "0"}, "no_winner", "winner_*", "no winner: all three are 0"),
        ({"winner_tie": "1"}, "several_winners", "winner_*", "winner_model_a and winner_tie are 1"),
        ({"winner_tie": "yes"}, "not_a_probability", "winner_*", "winner_tie is 'yes'"),
        (
            {"winner_model_b": "", "winner_tie": "nan"},
            "not_a_probability",
            "winner_*",
            "winner_model_b is '', winner_tie is 'nan'",
        ),
        ({"winner_model_a": "-0.5"}, "not_a_probability", "winner_*", "winner_model_a is '-0.5'"),
        ({"winner_model_a": "2"}, "not_a_probability", "winner_*", "winner_model_a is '2': expected 0, 1 or between"),
        ({"winner_model_a": "0.9"}, "bad_sum", "winner_*", "the probabilities sum to 0.9, not 1"),
        ({"winner_model_a": "0.5", "winner_tie": "0.502"}, "bad_sum", "winner_*", "sum to 1.002, not 1"),
        ({"winner_model_a": "", "winner_model_b": "", "winner_tie": ""}, "no_vote", "winner_*", "no vote"),
    ],
)
def test_unreadable_rows(tmp_path: Path, cells: dict[str, str], kind: str, column: str, message: str) -> None:
    rows = [lmsys_row(id="1", prompt='["two\nlines"]'), lmsys_row(id="2", **cells), lmsys_row(id="3")]
    file = read_votes(write_csv(tmp_path / "v.csv", rows), votes="required")
    (problem,) = file.problems
    assert (problem.line, problem.id, problem.column, problem.kind) == (4, "2", column, kind)
    assert problem.severity == "unreadable"
    assert message in problem.message
    assert [c.id for c in file.comparisons] == ["1", "3"]
    assert (file.lines, file.rows) == ((2, 5), 3)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"prompt": ""}, [("prompt", "empty_prompt")]),
        ({"prompt": "[null]"}, [("prompt", "empty_prompt")]),
        ({"response_a": '[" \\n"]'}, [("response_a", "empty_answer")]),
        ({"response_a": "[null]", "response_b": ""}, [("response_a", "empty_answer"), ("response_b", "empty_answer")]),
    ],
)
def test_empty_texts_still_make_a_comparison(
    tmp_path: Path, cells: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    file = read_votes(write_csv(tmp_path / "v.csv", [lmsys_row(**cells)]), votes="required")
    assert [(p.column, p.kind, p.severity) for p in file.problems] == [(*both, "empty") for both in expected]
    assert len(file.comparisons) == 1


def test_an_answer_is_empty_if_all_unshared_turns_are_blank(tmp_path: Path) -> None:
    row = {"id": "1", "prompt": ["p", "q"], "winner": "tie"}
    path = write_jsonl(
        tmp_path / "v.jsonl",
        [
            {**row, "response_a": ["same", ""], "response_b": ["same", "b"]},
            {**row, "id": "2", "response_a": ["", "a"], "response_b": ["x", "b"]},
            {**row, "id": "3", "response_a": ["same", ""], "response_b": ["same", ""]},
        ],
    )
    assert problems_of(path) == [
        "line 1, id 1, response_a: is empty",
        "line 2, id 2, response_a: has no text in turn 1 of 2",
        "line 3, id 3, response_a: has no text in turn 2 of 2",
        "line 3, id 3, response_b: has no text in turn 2 of 2",
    ]


def test_null_answers_are_empty_and_a_null_prompt_is_unreadable(tmp_path: Path) -> None:
    rows = [
        lmsys_row(id="1", response_a=None, response_b=None),
        lmsys_row(id="2", prompt=None),
        {k: v for k, v in lmsys_row(id="3").items() if k != "prompt"},
        lmsys_row(id="4", response_b=5),
        lmsys_row(id="5", prompt=["a", {"b": 1}]),
    ]
    expected = [
        "1, id 1, response_a: is empty",
        "1, id 1, response_b: is empty",
        "2, id 2, prompt: is missing",
        "3, id 3, prompt: is missing",
        "4, id 4, response_b: is 5, neither text nor a list of turns",
        "5, id 5, prompt: has {'b': 1} instead of text as turn 2",
    ]
    path = write_jsonl(tmp_path / "v.jsonl", rows)
    assert problems_of(path) == [f"line {line}" for line in expected]
    parquet = write_parquet(tmp_path / "v.parquet", rows[:3])
    assert problems_of(parquet) == [f"row {line}" for line in expected[:4]]


def test_every_problem_of_a_row_is_found(tmp_path: Path) -> None:
    row = lmsys_row(id="", prompt='["a', response_a='["b', response_b='["c', winner_tie="x")
    file = read_votes(write_csv(tmp_path / "v.csv", [row]), votes="required")
    assert [(p.column, p.kind) for p in file.problems] == [
        ("id", "missing_id"),
        ("prompt", "broken_json"),
        ("response_a", "broken_json"),
        ("response_b", "broken_json"),
        ("winner_*", "not_a_probability"),
    ]
    assert file.comparisons == ()


def test_every_use_of_an_id_after_the_first_is_named(tmp_path: Path) -> None:
    rows = [lmsys_row(id=one) for one in ("x", "y", "x", "x")]
    file = read_votes(write_csv(tmp_path / "v.csv", rows), votes="required")
    assert [str(p) for p in file.problems] == [
        "line 4, id x, id: was used before, on line 2",
        "line 5, id x, id: was used before, on line 2",
    ]
    assert {p.severity for p in file.problems} == {"duplicate_id"}
    assert len(file.comparisons) == 4


def test_broken_csv_rows_do_not_stop_the_reading(tmp_path: Path) -> None:
    good = b'"p\np",a,b,1,0,0\n'
    path = tmp_path / "v.csv"
    path.write_bytes(
        HEADER.encode() + b"\n"  # line 1
        b"1," + good +  # 2, 3
        b"2,too,few\n"  # 4
        b"3,p,a,b,1,0,0,extra\n"  # 5
        b'4,"p\n\xff",a,b,1,0,0\n'  # 6, 7
        b"5,bare\rreturn,a,b,1,0,0\n"  # 8
        b"6," + good +  # 9, 10
        b'7,"never closed,a,b,1,0,0\n'  # 11
        b"8,p,a,b,1,0,0\n"  # 12
    )  # fmt: skip
    file = read_votes(path, votes="required")
    assert [c.id for c in file.comparisons] == ["1", "6"]
    assert [(p.line, p.kind) for p in file.problems] == [
        (4, "ragged_row"),
        (5, "ragged_row"),
        (6, "undecodable"),
        (8, "broken_csv"),
        (11, "unclosed_quote"),
    ]
    assert file.problems[0].message == "has 3 cells, but there are 7 columns"
    assert file.problems[2].message == "holds bytes that are not UTF-8: 0xff at byte 1 of line 7"
    assert "the rest of the file, 2 lines, is in it" in file.problems[4].message
    assert (file.lines, file.rows) == ((2, 9), 7)


def test_a_quote_left_open_in_the_last_cell_is_seen_though_the_row_is_not_ragged(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text('prompt,response_a,response_b,winner\np,a,b,tie\np,a,b,"tie\np,a,b,tie\n')
    assert [(p.line, p.kind) for p in read_votes(path, votes="required").problems] == [(3, "unclosed_quote")]


def test_broken_json_lines_do_not_stop_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    good = b'{"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie"}\n'
    path.write_bytes(good + b'{"prompt": \n' + b"[1]\n" + b'{"prompt": "\xff"}\n' + good + b"[" * 99_999)
    assert problems_of(path) == [
        "line 2: is not JSON: Expecting value at character 13",
        "line 3: is not a JSON object, but [1]",
        "line 4: holds bytes that are not UTF-8: 0xff at byte 13",
        "line 6: is not JSON: nested too deeply",
    ]
    assert read_votes(path, votes="required").lines == (1, 5)


def test_a_byte_order_mark_within_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    line = '{"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie"}\n'
    path.write_text(f"{line}\ufeff{line}", encoding="utf-8")
    assert problems_of(path) == ["line 2: is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at character 1"]


def test_parquet_texts_that_are_not_utf8_make_only_their_row_unreadable(tmp_path: Path) -> None:
    prompts = pa.array([b"fine", b"\xff", b"fine too"], pa.binary())
    table = pa.table(
        {
            "prompt": pa.Array.from_buffers(pa.string(), 3, prompts.buffers()),
            "response_a": pa.array([b"a", b"a", b"\xfe"], pa.binary()),
            "response_b": ["b"] * 3,
            "winner": ["tie"] * 3,
        }
    )
    pq.write_table(table, tmp_path / "v.parquet")
    file = read_votes(tmp_path / "v.parquet", votes="required")
    assert [str(p) for p in file.problems] == [
        "row 2, prompt: holds bytes that are not UTF-8: 0xff at byte 1",
        "row 3, response_a: holds bytes that are not UTF-8: 0xfe at byte 1",
    ]
    assert [c.answer_a for c in file.comparisons] == [("a",)]


def unusable(tmp_path: Path, name: str, content: bytes | None) -> str:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_votes(path, votes="required")
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", None, "does not exist"),
        ("v.txt", b"x", "ends in '.txt', which is not a known format. Known endings: .csv, .csv.gz"),
        ("v", b"x", "ends in ''"),
        ("v.csv", b"", "is empty"),
        ("v.jsonl", b"\n\n", "holds no JSON object"),
        ("v.jsonl", b"nonsense\n", "The first: line 1: is not JSON: Expecting value at character 1"),
        ("v.json", b'[{"prompt": 1}', "is not a JSON list: Expecting ',' delimiter at character 15"),
        ("v.json", b"[]", "holds no JSON object"),
        ("v.json", b'["\xff"]', "is not UTF-8: 0xff at byte 3"),
        ("v.csv", HEADER.encode() + b"\n", "has column names but no rows"),
        ("v.csv", "prompt,response_a\n".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        ("v.csv", b"prompt,r\xe9ponse\np,r\n", "line 1: the row of column names holds bytes that are not UTF-8"),
        ("v.csv", b'prompt,"response_a\np,r\n', 'line 1: the row of column names opens a " that is never closed'),
        ("v.csv", b"prompt,prompt,response_a\n", "has 2 columns named 'prompt'"),
        ("v.parquet", b"PAR1 and then nothing", "cannot be read as Parquet"),
        ("v.csv.gz", b"not packed", "cannot be read: Not a gzipped file"),
        ("v.csv.gz", gzip.compress(b"prompt,response_a,response_b,winner\n" * 99, mtime=0)[:-9], "cannot be read: "),
    ],
)
def test_unusable_files_are_refused_at_once(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    assert message in unusable(tmp_path, name, content)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder: name one file of votes in it"):
        read_votes(tmp_path, votes="required")


@pytest.mark.parametrize(
    ("columns", "hints"),
    [
        ("id,Prompt,respones_a,response_b,winner", ["prompt (rename 'Prompt'?)", "response_a (rename 'respones_a'?)"]),
        ("prompt,CHOSEN,reject", ["chosen (rename 'CHOSEN'?)", "rejected (rename 'reject'?)"]),
        (
            "text,label",
            ["lacks prompt, response_a, response_b.", "columns found: 'text', 'label'", "or: prompt, chosen"],
        ),
        ("prompt,response_a,response_b,winer", ["winner_model_a, winner_model_b, winner_tie"]),
    ],
)
def test_missing_columns_are_named_with_the_nearest_names(tmp_path: Path, columns: str, hints: list[str]) -> None:
    message = unusable(tmp_path, "v.csv", f"{columns}\n".encode())
    for hint in hints:
        assert hint in message


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [lmsys_row(id=str(i), prompt=f"{i} " * 500) for i in range(3000)]
    path = write_parquet(tmp_path / "v.parquet", rows)
    data = bytearray(path.read_bytes())
    data[100 : len(data) // 2] = b"\x00" * (len(data) // 2 - 100)
    assert "cannot be read after row" in unusable(tmp_path, "v.parquet", bytes(data))


def test_lists_printed_by_python_are_reported(tmp_path: Path) -> None:
    printed = {"prompt": "['a', 'b']", "response_a": "['c', 'd']", "response_b": "['e', 'f']"}
    about_python = {"prompt": "Show a list", "response_a": "['c', 'd']", "response_b": "[c, d]"}
    path = write_csv(tmp_path / "v.csv", [lmsys_row(id="1", **printed), lmsys_row(id="2", **about_python)])
    message = "looks like a list that Python printed: read as plain text. If it holds turns, write JSON"
    file = read_votes(path, votes="required")
    assert [str(p) for p in file.problems] == [f"line 2, id 1, prompt, response_a, response_b: {message}"]
    assert file.comparisons[0].prompt == ("['a', 'b']",)
    messages = {"chosen": "[{'role': 'user', 'content': 'p'}]", "rejected": "bad", "prompt": "p"}
    pair = write_csv(tmp_path / "pair.csv", [messages], columns=tuple(messages))
    refused = "is a list that Python printed, and not JSON: save the table as Parquet or JSON lines"
    assert problems_of(pair) == [f"line 2, chosen: {refused}"]
