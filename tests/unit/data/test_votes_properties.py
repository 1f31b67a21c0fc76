"""Properties of all files: swapping a file swaps its comparisons, and all formats agree."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tiebreak.data import Problem, read_votes
from tiebreak.types import A_WINS, B_WINS, TIE

from .votefiles import LMSYS, write_csv, write_jsonl, write_parquet

NASTY = st.text(
    st.one_of(st.sampled_from('\n\r\t",;[]{}\\\x00\u2028\u0085é😀\ufeff'), st.characters(exclude_categories=["Cs"])),
    max_size=12,
)
VOTES = st.one_of(
    st.sampled_from([A_WINS, B_WINS, TIE, (0.0, 0.0, 0.0), (1.0, 1.0, 0.0)]),
    st.tuples(*[st.floats(0, 1)] * 3).map(lambda w: tuple(x / (sum(w) or 1) for x in w)),
)


MARGINS = st.one_of(st.none(), st.floats(allow_nan=False), st.floats(0, 3))
COLUMNS = (*LMSYS, "margin")


@st.composite
def rows(draw: st.DrawFn, texts: st.SearchStrategy[str] = NASTY) -> list[dict[str, Any]]:
    """Rows of an LMSYS file whose cells are texts: plain ones, JSON lists and broken ones."""

    def cell(turns: int) -> str:
        values = draw(st.lists(st.one_of(texts, st.none()), min_size=turns, max_size=turns))
        as_json = json.dumps(values, ensure_ascii=draw(st.booleans()))
        return draw(st.sampled_from([as_json, as_json, as_json, as_json[:-1], draw(texts), ""]))

    drawn = []
    for number in range(draw(st.integers(1, 4))):
        turns = draw(st.integers(1, 3))
        texts_of_row = dict(zip(LMSYS[1:4], (cell(turns) for _ in range(3)), strict=True))
        vote = dict(zip(LMSYS[4:], draw(VOTES), strict=True))
        drawn.append({"id": str(number), **texts_of_row, **vote, "margin": draw(MARGINS)})
    return drawn


def faults(problems: tuple[Problem, ...]) -> list[tuple[str, str, str]]:
    return [(problem.id, problem.column, problem.kind) for problem in problems]


SWAPPED = {"response_a": "response_b", "winner_model_a": "winner_model_b"}
SWAPPED |= {b: a for a, b in SWAPPED.items()}


@settings(max_examples=40, deadline=None)
@given(rows())
def test_a_file_with_a_and_b_exchanged_reads_as_the_comparisons_swapped(drawn: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        straight = read_votes(write_csv(Path(folder, "a.csv"), drawn, COLUMNS), votes="required")
        swap_verdict = [{SWAPPED.get(column, column): cell for column, cell in row.items()} for row in drawn]
        swapped = read_votes(write_csv(Path(folder, "b.csv"), swap_verdict, COLUMNS), votes="required")
    assert list(swapped.comparisons) == [comparison.swap() for comparison in straight.comparisons]
    mirrored = [(i, SWAPPED.get(column, column), kind) for i, column, kind in faults(straight.problems)]
    assert sorted(faults(swapped.problems)) == sorted(mirrored)


@settings(max_examples=40, deadline=None)
@given(rows())
def test_formats_agree(drawn: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        files = [
            read_votes(write_csv(Path(folder, "v.csv"), drawn, COLUMNS), votes="required"),
            read_votes(write_jsonl(Path(folder, "v.jsonl"), drawn), votes="required"),
            read_votes(write_parquet(Path(folder, "v.parquet"), drawn), votes="required"),
        ]
    assert files[0].comparisons == files[1].comparisons == files[2].comparisons
    assert faults(files[0].problems) == faults(files[1].problems) == faults(files[2].problems)
    assert files[0].rows == len(drawn)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_any_text_is_read_back_except_surrogates_nul_and_line_ends(turns: list[str]) -> None:
    """JSON holds lone surrogates as escapes, in every format; all text that is read can be encoded."""
    row = {"prompt": json.dumps(turns), "response_a": json.dumps(["a"] * len(turns)), "winner": "tie"}
    row["response_b"] = row["response_a"]
    # Two escapes in a row that make a pair are one character to JSON.
    expected = [json.loads(json.dumps(turn)).replace("\r\n", "\n").replace("\r", "\n") for turn in turns]
    expected = ["".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in turn) for turn in expected]
    with TemporaryDirectory() as folder:
        path = write_csv(Path(folder, "v.csv"), [row], list(row))
        as_list = write_jsonl(Path(folder, "v.jsonl"), [{**row, "prompt": turns, "response_a": ["a"] * len(turns)}])
        for file in (read_votes(path, votes="required"), read_votes(as_list, votes="required")):
            assert list(file.comparisons[0].prompt) == expected
            file.comparisons[0].prompt[0].encode()
