"""Files checked in a stream: the same numbers as from a file read whole, in flat memory."""

import json
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tiebreak.cli import app
from tiebreak.data import check_file, read_votes, summarise
from tiebreak.data.hash_index import HashIndex, digest
from tiebreak.data.readers.json_list import read_items
from tiebreak.data.readers.json_reader import parse_json_item
from tiebreak.errors import DataError

from .votefiles import lmsys_row, write_csv, write_jsonl, write_parquet


def mixed_rows(count: int) -> list[dict[str, Any]]:
    """Rows with duplicates, contradictions, soft votes, repeated ids and problems."""
    rng = random.Random(0)
    votes = [("1", "0", "0"), ("0", "1", "0"), ("0", "0", "1"), ("0.3", "0.1", "0.6"), ("1", "1", "0")]
    rows = []
    for number in range(count):
        a, b, tie = rng.choice(votes)
        rows.append(
            lmsys_row(
                id=str(rng.choice((number, number, rng.randrange(count)))),
                prompt=f"question {rng.randrange(9)}",
                response_a=rng.choice(("yes", "no", "", "may be")),
                response_b=rng.choice(("yes", "no", "may be\0")),
                winner_model_a=a, winner_model_b=b, winner_tie=tie,
            )
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("held_bytes", [0, 2**26])
def test_a_stream_has_the_summary_and_the_problems_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr("tiebreak.data.readers.json_reader._HELD_BYTES", held_bytes)
    rows = mixed_rows(300)
    (tmp_path / "v.json").write_text(json.dumps(rows))
    for path in (
        write_csv(tmp_path / "v.csv", rows),
        write_jsonl(tmp_path / "v.jsonl", [*rows, [1], {**rows[0], "margin": -1}]),
        write_parquet(tmp_path / "v.parquet", rows),
        tmp_path / "v.json",
    ):
        file, check = read_votes(path, votes="required"), check_file(path)
        assert check.summary == summarise(file)
        assert check.problems == file.problems
        assert check.unlisted_problems == 0
        assert check.summary.layout == "soft"
        assert check.summary.contradictions
        assert check.summary.problems.keys() >= {"duplicate_id", "several_winners", "empty_answer", "repaired_text"}


def test_of_each_kind_of_problem_the_first_thousand_are_listed(tmp_path: Path) -> None:
    rows = [lmsys_row(id=str(i), response_a="", **({} if i else {"winner_tie": "1"})) for i in range(1_205)]
    path = write_csv(tmp_path / "v.csv", rows)
    check = check_file(path)
    assert check.summary.problems == {"empty_answer": 1_204, "several_winners": 1}
    assert (len(check.problems), check.unlisted_problems) == (1_001, 204)
    assert check.unusable_rows == 1_205
    shown = CliRunner().invoke(app, ["check", str(path)]).stdout
    assert "Rows that cannot be used as they are (1,205; 1,204 empty_answer, 1 several_winners):" in shown
    assert "  and 204 more problems of the kind empty_answer\n" in shown
    assert json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)["unlisted_problems"] == 204


def test_problems_keep_little_of_long_ids_and_long_lists_of_turns(tmp_path: Path) -> None:
    turns = ["y", *[""] * 50]
    row = lmsys_row(id="i" * 5_000, prompt=["p"] * 51, response_a=turns, response_b=["x"] * 51)
    path = write_jsonl(tmp_path / "v.jsonl", [row])
    (problem,) = check_file(path).problems
    assert problem.id == "i" * 200 + "…"
    assert problem.message == f"has no text in turn {', '.join(map(str, range(2, 22)))} … of 51"
    assert read_votes(path, votes="required").comparisons[0].id == "i" * 5_000


def test_progress_covers_both_passes_over_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiebreak.data.readers.json_reader._HELD_BYTES", 1_000)
    path = write_jsonl(tmp_path / "v.jsonl", [lmsys_row(id=str(i), prompt="x" * 1_000) for i in range(5_000)])
    steps: list[tuple[int, int]] = []
    check_file(path, on_progress=lambda done, total: steps.append((done, total)))
    size = path.stat().st_size
    assert {total for _, total in steps} == {2 * size}
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(steps))
    assert any(done > size for done, _ in steps)


def test_a_hash_index_keeps_the_first_number_of_each_key() -> None:
    index, expected = HashIndex(), dict[str, int]()
    rng = random.Random(1)
    for number in range(20_000):
        key = str(rng.randrange(8_000))
        assert index.setdefault(digest(key), number) == expected.setdefault(key, number)


def test_digests_tell_texts_apart_by_where_they_are_divided() -> None:
    assert len({digest("ab"), digest("a", "b"), digest("", "ab"), digest("ab", "")}) == 4


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 1_000])
def test_items_of_a_list_are_read_however_it_is_divided(chunk: int) -> None:
    items = [{"a": 'é€😀 \\ "'}, 12, -1.5e3, True, None, [], {}, [[1], "]"], "\ud800", "", {"b": [1, {"c": 2}]}]
    for text in (json.dumps(items), json.dumps(items, ensure_ascii=False, indent=2), " [ ] \n", "[12]", "[1,2]"):
        data = text.encode("utf-8", "surrogatepass")
        pieces = [data[i : i + chunk] for i in range(0, len(data), chunk)]
        assert [value for value, _ in read_items("f", iter(pieces), parse_json_item)] == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'[{"a": 1}', "f is not a JSON list: Expecting ',' delimiter at character 10."),
        (b'[{"a": 1} {"b": 1}]', "f is not a JSON list: Expecting ',' delimiter at character 11."),
        (b'["\xc3\xa9\xe2\x82\xac", x]', "f is not a JSON list: Expecting value at character 8."),
        (b"[1, ]", "f is not a JSON list: Expecting value at character 5."),
        (b"[1] 2", "f is not a JSON list: Extra data at character 5."),
        (b"[1", "f is not a JSON list: Expecting ',' delimiter at character 3."),
        (b"[", "f is not a JSON list: Expecting value at character 2."),
        (b'["\xc3\xa9\xff"]', "f is not UTF-8: 0xff at byte 5."),
        (b'["\xc3', "f is not UTF-8: 0xc3 at byte 3."),
    ],
)
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_errors_in_a_list_have_their_position_in_the_file(text: bytes, message: str, chunk: int) -> None:
    pieces = (text[i : i + chunk] for i in range(0, len(text), chunk))
    with pytest.raises(DataError) as caught:
        list(read_items("f", pieces, parse_json_item))
    assert str(caught.value).startswith(message)


MEMORY = """
import resource, sys
from pathlib import Path
from tiebreak.data import check_file
import tiebreak.data.readers.json_reader
tiebreak.data.readers.json_reader._HELD_BYTES = 2**20

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

small, large = sys.argv[1:4], sys.argv[4:]
for path in small:
    check_file(Path(path))
before = peak()
for path in large:
    check = check_file(Path(path))
    print(check.summary.rows, (peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    files = []
    for count in (500, 4_000):
        rows = [lmsys_row(id=str(i), prompt=f"{i} " + "x" * 9_000) for i in range(count)]
        listed = tmp_path / f"{count}.json"
        listed.write_text(json.dumps(rows))
        files += [write_csv(tmp_path / f"{count}.csv", rows), write_jsonl(tmp_path / f"{count}.jsonl", rows), listed]
    assert files[-1].stat().st_size > 36e6
    command = [sys.executable, "-c", MEMORY, *map(str, files)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        checked, mebibytes = map(int, line.split())
        assert checked == 4_000
        assert mebibytes < 15
