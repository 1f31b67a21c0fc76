"""Formats and layouts of valid files."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from tiebreak.data import read_votes
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

from .votefiles import lmsys_row, write_csv, write_jsonl, write_parquet

TEXTS = ("id", "prompt", "response_a", "response_b")


def texts(**cells: object) -> dict[str, object]:
    return {"id": "1", "prompt": "p", "response_a": "a", "response_b": "b", **cells}


def test_csv_gives_comparisons_in_order_with_the_line_each_row_starts_on(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(
        b"\xef\xbb\xbfid,model_a,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie\r\n"
        b'11,m,"Two\nlines, ""quoted""",yes,"a\r\n\r\nb",0,1,0\r\n'
        b"\r\n"
        b'12,m,"[""x"", null]","[""y"", ""z""]","[null, ""w""]",0,0,1\r\n'
        b"13,m,plain,\x00nul,b,1,0,0"
    )
    file = read_votes(path, votes="required")
    tags = (("model_a", "m"),)
    assert file.comparisons == (
        Comparison(('Two\nlines, "quoted"',), ("yes",), ("a\r\n\r\nb",), B_WINS, "11", tags=tags),
        Comparison(("x", ""), ("y", "z"), ("", "w"), TIE, "12", tags=tags),
        Comparison(("plain",), ("\ufffdnul",), ("b",), A_WINS, "13", tags=tags),
    )
    assert (file.path, file.format, file.layout, file.lines, file.rows) == (path, "csv", "lmsys", (2, 7, 8), 3)
    assert [(p.line, p.column, p.kind) for p in file.problems] == [
        (7, "prompt", "empty_turn"),
        (7, "response_b", "empty_turn"),
        (8, "response_a", "repaired_text"),
    ]


def test_jsonl_takes_lists_texts_and_json_texts_and_skips_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    rows = [
        {"id": 5, "prompt": ["a", None], "response_a": ["b", "c"], "response_b": ["d", "e"], "winner": "model_a"},
        {"id": "six", "prompt": "[not json", "response_a": "[1]", "response_b": "x", "winner": "TIE (bothbad)"},
    ]
    path.write_text(f"\n{json.dumps(rows[0])}\n\n{json.dumps(rows[1])}\n")
    file = read_votes(path, votes="required")
    assert file.comparisons == (
        Comparison(("a", ""), ("b", "c"), ("d", "e"), A_WINS, "5"),
        Comparison(("[not json",), ("[1]",), ("x",), TIE, "six", tags=(("tie_kind", "both bad"),)),
    )
    assert (file.format, file.layout, file.lines) == ("jsonl", "winner", (2, 4))


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_tabs_and_semicolons_separate_cells_too(tmp_path: Path, separator: str) -> None:
    rows = [("prompt", "response_a", "response_b", "winner"), ("p, q; r", "a", '"say ""b"""', "tie")]
    cells = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in rows]
    (tmp_path / "v.tsv").write_text("\n".join(separator.join(row) for row in cells))
    (comparison,) = read_votes(tmp_path / "v.tsv", votes="required").comparisons
    assert comparison == Comparison(("p, q; r",), ("a",), ('say "b"',), TIE, "0")


def test_json_list_counts_rows_from_1(tmp_path: Path) -> None:
    path = tmp_path / "votes.json"
    path.write_text("\n  " + json.dumps([texts(winner="model_b"), 3, texts(id="2", winner="tie")], indent=1))
    file = read_votes(path, votes="required")
    assert [c.vote for c in file.comparisons] == [B_WINS, TIE]
    assert file.lines == (1, 3)
    assert [str(problem) for problem in file.problems] == ["row 2: is not a JSON object, but 3"]


def test_a_json_file_may_hold_json_lines(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "votes.json", [texts(winner="tie"), texts(id="2", winner="tie")])
    assert read_votes(path, votes="required").lines == (1, 2)


@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl", "votes.json"])
def test_gzip_is_unpacked(tmp_path: Path, name: str) -> None:
    plain = (write_csv if name.endswith("csv") else write_jsonl)(tmp_path / name, [lmsys_row()])
    packed = tmp_path / f"{name.upper()}.GZ"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_votes(packed, votes="required").comparisons == read_votes(plain, votes="required").comparisons


def test_parquet_reads_numbers_and_real_lists(tmp_path: Path) -> None:
    rows = [
        {"id": 3, "prompt": ["a"], "response_a": ["b"], "response_b": ["c"]},
        {"id": 4, "prompt": ["d", None], "response_a": ["e", "f"], "response_b": ["g", "h"]},
    ]
    votes = [
        {"winner_model_a": 0.0, "winner_model_b": 1.0, "winner_tie": 0.0},
        {"winner_model_a": 0.0, "winner_model_b": 0.0, "winner_tie": 1.0},
    ]
    path = write_parquet(tmp_path / "v.parquet", [row | vote for row, vote in zip(rows, votes, strict=True)])
    file = read_votes(path, votes="required")
    assert file.comparisons == (
        Comparison(("a",), ("b",), ("c",), B_WINS, "3"),
        Comparison(("d", ""), ("e", "f"), ("g", "h"), TIE, "4"),
    )
    assert (file.format, file.layout, file.lines) == ("parquet", "lmsys", (1, 2))


def test_ids_from_floats_lose_their_fraction_and_nan_is_null(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [
        lmsys_row(id=3.0, winner_model_a=1.0, winner_model_b=0.0, winner_tie=0.0),
        lmsys_row(id=nan, winner_model_a=nan, winner_model_b=nan, winner_tie=nan),
        lmsys_row(id=2.5, winner_model_a=0.0, winner_model_b=0.0, winner_tie=1.0),
    ]
    file = read_votes(write_parquet(tmp_path / "v.parquet", rows), votes="optional")
    assert [(c.id, c.vote) for c in file.comparisons] == [("3", A_WINS), ("1", None), ("2.5", TIE)]
    assert [str(p) for p in file.problems] == ["row 2, id 1, id: is empty: the row number, 1, is used instead"]


def test_ids_default_to_the_number_of_the_row_counting_unreadable_ones(tmp_path: Path) -> None:
    rows = [texts(winner="tie"), texts(winner="nobody"), texts(winner="tie")]
    path = write_jsonl(tmp_path / "v.jsonl", [{k: v for k, v in row.items() if k != "id"} for row in rows])
    file = read_votes(path, votes="required")
    assert [c.id for c in file.comparisons] == ["0", "2"]
    assert (
        str(file.problems[0])
        == "line 2, winner: is 'nobody': expected model_a, model_b or tie; A and B; 1 and 2; left and right"
    )


@pytest.mark.parametrize(
    ("cells", "vote"),
    [
        (("1", "0", "0"), A_WINS),
        ((" 0.0", "1.0", "0 "), B_WINS),
        (("False", "false", "TRUE"), TIE),
        (("0.5", "0.25", "0.25"), (0.5, 0.25, 0.25)),
        (("0.5", "0.25", "0.2504"), (0.5 / 1.0004, 0.25 / 1.0004, 0.2504 / 1.0004)),
        (("1e-1", "0", ".9"), (0.1, 0.0, 0.9)),
    ],
)
def test_winner_columns(tmp_path: Path, cells: tuple[str, str, str], vote: tuple[float, float, float]) -> None:
    row = lmsys_row(winner_model_a=cells[0], winner_model_b=cells[1], winner_tie=cells[2])
    file = read_votes(write_csv(tmp_path / "v.csv", [row]), votes="required")
    assert file.comparisons[0].vote == pytest.approx(vote, abs=1e-15)
    assert file.layout == ("lmsys" if vote in (A_WINS, B_WINS, TIE) else "soft")
    assert file.problems == ()


def test_json_booleans_are_votes(tmp_path: Path) -> None:
    row = lmsys_row(winner_model_a=False, winner_model_b=True, winner_tie=False)
    assert read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required").comparisons[0].vote == B_WINS


@pytest.mark.parametrize(
    ("winner", "vote"),
    [
        ("model_a", A_WINS),
        ("model_b", B_WINS),
        (" Model_B ", B_WINS),
        *((name, A_WINS) for name in ("A", "a", "left", "response_a", "1", 1, 1.0)),
        *((name, B_WINS) for name in ("B", "right", "2", 2, 2.0)),
        *((name, TIE) for name in ("tie", "draw", "tie (bothbad)", "tie (both bad)", "tie_bothbad", "both_bad")),
    ],
)
def test_winner_column(tmp_path: Path, winner: object, vote: tuple[float, float, float]) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", [texts(winner=winner)])
    comparison = read_votes(path, votes="required").comparisons[0]
    assert comparison.vote == vote
    assert comparison.tags == ((("tie_kind", "both bad"),) if "bad" in str(winner) else ())


@pytest.mark.parametrize("winner", [0, "0", 0.0])
def test_winners_0_and_1_are_not_guessed(tmp_path: Path, winner: object) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", [texts(winner=1), texts(winner=winner)])
    with pytest.raises(DataError, match="it is not clear which answers 0 and 1 stand for"):
        read_votes(path, votes="required")
    named = {"winner.0": "model_b", "winner.1": "model_a"}
    votes = [c.vote for c in read_votes(path, votes="required", columns=named).comparisons]
    assert votes == [A_WINS, B_WINS]


@pytest.mark.parametrize("winner", [True, 3, "model_c", "C"])
def test_other_winners_are_refused(tmp_path: Path, winner: object) -> None:
    (problem,) = read_votes(write_jsonl(tmp_path / "v.jsonl", [texts(winner=winner)]), votes="required").problems
    assert problem.kind == "unknown_winner"


def test_two_winner_columns_are_votes_without_ties(tmp_path: Path) -> None:
    votes = ((1, 0), (0, 1), (0.25, 0.75), (0, 0))
    rows = [texts(id=i, winner_model_a=a, winner_model_b=b) for i, (a, b) in enumerate(votes)]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required")
    assert [c.vote for c in file.comparisons] == [A_WINS, B_WINS, (0.25, 0.75, 0.0)]
    assert [problem.kind for problem in file.problems] == ["no_winner"]


def test_votes_may_be_absent_as_columns_or_in_a_row_where_they_are_optional(tmp_path: Path) -> None:
    bare = write_csv(tmp_path / "test.csv", [texts()], TEXTS)
    file = read_votes(bare, votes="optional")
    assert (file.layout, file.comparisons[0].vote, file.problems) == ("unlabelled", None, ())
    with pytest.raises(DataError, match="lacks winner_model_a, winner_model_b, winner_tie"):
        read_votes(bare, votes="required")

    blank = lmsys_row(winner_model_a="", winner_model_b="", winner_tie="")
    partly = write_csv(tmp_path / "partly.csv", [lmsys_row(), {**blank, "id": "8"}])
    assert [c.vote for c in read_votes(partly, votes="optional").comparisons] == [A_WINS, None]
    needed = read_votes(partly, votes="required")
    assert len(needed.comparisons) == 1
    assert str(needed.problems[0]) == "line 3, id 8, winner_*: no vote: a vote is needed here"


def test_some_winner_columns_are_not_enough_even_where_votes_are_optional(tmp_path: Path) -> None:
    for name in ("winner_ties", "tie", "is_draw"):
        path = write_jsonl(tmp_path / "v.jsonl", [texts(winner_model_a=1, winner_model_b=0, **{name: 0})])
        with pytest.raises(DataError, match=r"lacks winner_tie"):
            read_votes(path, votes="optional")


@pytest.mark.parametrize(
    ("cells", "turns"),
    [
        (("p", "a", "b"), (("p",), ("a",), ("b",))),
        (('["p"]', '["a"]', '["b"]'), (("p",), ("a",), ("b",))),
        ((' [ "p", null ] ', '["a", ""]', "[null,null]"), (("p", ""), ("a", ""), ("", ""))),
        (('["p"]', "plain", '["b"]'), (("p",), ("plain",), ("b",))),
        (('["line\nbreak"]', '["a"]', '["b"]'), (("line\nbreak",), ("a",), ("b",))),
        # Plain text that looks like something else
        (("[Zeus]: hm", "[1, 2]", "[[x]"), (("[Zeus]: hm",), ("[1, 2]",), ("[[x]",))),
        (
            ("List two names in JSON", '["Al", "Bo"]', "Al, Bo"),
            (("List two names in JSON",), ('["Al", "Bo"]',), ("Al, Bo",)),
        ),
        (("List names", '["Al", "Bo', "b"), (("List names",), ('["Al", "Bo',), ("b",))),
        (('["Al", "Bo"] sorted?', "yes", "no"), (('["Al", "Bo"] sorted?',), ("yes",), ("no",))),
        (('["x", 1]', "a", "b"), (('["x", 1]',), ("a",), ("b",))),
        (("[" * 100_000, "a", "b"), (("[" * 100_000,), ("a",), ("b",))),
        # A blank cell gets as many turns as the others
        (('["p", "q"]', "", '["a", "b"]'), (("p", "q"), ("", ""), ("a", "b"))),
        (("", '["a", "b"]', '["c", "d"]'), (("", ""), ("a", "b"), ("c", "d"))),
        (("", '["a"]', "b"), (("",), ('["a"]',), ("b",))),
        (("", "", ""), (("",), ("",), ("",))),
    ],
)
def test_turns_and_plain_text(tmp_path: Path, cells: tuple[str, str, str], turns: tuple[tuple[str, ...], ...]) -> None:
    row = lmsys_row(prompt=cells[0], response_a=cells[1], response_b=cells[2])
    file = read_votes(write_csv(tmp_path / "v.csv", [row]), votes="required")
    assert [p for p in file.problems if p.severity == "unreadable"] == []
    (comparison,) = file.comparisons
    assert (comparison.prompt, comparison.answer_a, comparison.answer_b) == turns


def test_both_answers_as_lists_to_a_plain_prompt_stay_text_with_a_note(tmp_path: Path) -> None:
    row = lmsys_row(prompt="Names, as JSON", response_a='["Al"]', response_b='["Bo"]')
    file = read_votes(write_csv(tmp_path / "v.csv", [row]), votes="required")
    assert file.comparisons[0].answer_a == ('["Al"]',)
    assert [(p.kind, p.severity) for p in file.problems] == [("lists_as_text", "note")]


def test_cells_of_five_megabytes_pass_with_a_note(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "v.csv", [lmsys_row(prompt=f'["{"x" * 5_000_000}"]')])
    file = read_votes(path, votes="required")
    assert len(file.comparisons[0].prompt[0]) == 5_000_000
    assert [str(p) for p in file.problems] == ["line 2, id 7, prompt: is 5,000,000 characters long"]


def test_reading_restores_the_settings_of_the_csv_module(tmp_path: Path) -> None:
    before = csv.field_size_limit(1234)
    try:
        read_votes(write_csv(tmp_path / "v.csv", [lmsys_row(response_a="x" * 5000)]), votes="required")
        assert csv.field_size_limit() == 1234
    finally:
        csv.field_size_limit(before)


def test_lone_surrogates_are_replaced_and_pairs_are_not(tmp_path: Path) -> None:
    row = lmsys_row(prompt=r'["a\ud83d b"]', response_a=r'["\ud83d\ude00"]')
    file = read_votes(write_csv(tmp_path / "v.csv", [row]), votes="required")
    assert file.comparisons[0].prompt == ("a\ufffd b",)
    assert file.comparisons[0].answer_a == ("😀",)
    assert [str(p) for p in file.problems] == [
        "line 2, id 7, prompt: had 1 lone surrogates or NUL characters, now U+FFFD"
    ]
    (raw := tmp_path / "raw.csv").write_bytes(b"prompt,response_a,response_b,winner\n\xed\xa0\xbdx,a,b,tie\n")
    assert read_votes(raw, votes="required").comparisons[0].prompt == ("\ufffdx",)


def test_a_winner_may_be_the_name_of_its_model(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "response_a": "a", "response_b": "b", "model_a": a, "model_b": b, "winner": winner}
        for a, b, winner in (("x", "y", "x"), ("x", "y", "y"), (100, 2, 100), ("x", "y", "tie"), ("1", "2", "2"))
    ]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required")
    assert [c.vote for c in file.comparisons] == [A_WINS, B_WINS, A_WINS, TIE, B_WINS]


@pytest.mark.parametrize(
    ("models", "winner", "reason"),
    [
        (("B", "A"), "A", "is 'A', another outcome and the name of a model"),
        (("x", "x"), "x", "is 'x': expected model_a"),
        (("x", "y"), "z", "left and right; or one of the models, 'x' and 'y'"),
        (("x", "tie"), "tie", "is 'tie', another outcome and the name of a model"),
    ],
)
def test_a_winner_that_two_readings_give_different_sides_is_refused(
    tmp_path: Path, models: tuple[str, str], winner: str, reason: str
) -> None:
    row = {"prompt": "p", "response_a": "a", "response_b": "b", "winner": winner, "model_a": models[0]}
    path = write_jsonl(tmp_path / "v.jsonl", [{**row, "model_b": models[1]}])
    file = read_votes(path, votes="required")
    assert file.comparisons == ()
    assert reason in file.problems[0].message


def test_whole_numbers_that_pandas_writes_as_floats_are_winners(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("prompt,response_a,response_b,winner\np,a,b,1.0\np,a,b,2.0\np,a,b,\n")
    assert [c.vote for c in read_votes(path, votes="optional").comparisons] == [A_WINS, B_WINS, None]
    path.write_text("prompt,response_a,response_b,winner\np,a,b,1.0\np,a,b,0.0\n")
    with pytest.raises(DataError, match="winner is 0 in a row"):
        read_votes(path, votes="optional")
