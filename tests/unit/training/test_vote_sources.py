"""Several files of votes as one: ids, sources, shares, weights, splits, and what is logged about them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.votefiles import write_jsonl
from tiebreak.data import load_comparisons, sample_by_prompt, split_by_prompt, write_comparisons
from tiebreak.errors import DataError
from tiebreak.prompt_folding import CURRENT_FOLD
from tiebreak.recipe import DataSection
from tiebreak.training.splits import calibration_source, split_votes, validation_source
from tiebreak.training.vote_sources import (
    SourceRows,
    check_sources,
    describe_train,
    expand_sources,
    files_record,
    load_train_rows,
    source_files,
    train_name,
    unique_names,
)
from tiebreak.types import A_WINS, TIE, Comparison


def votes(rows: int, *, prompts: int | None = None, first: int = 0) -> list[Comparison]:
    """Comparisons with ids from 0; their prompts repeat after `prompts` of them."""
    return [
        Comparison((f"prompt {first + i % (prompts or rows)}",), (f"a {i}",), ("b",), A_WINS if i % 2 else TIE, str(i))
        for i in range(rows)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a.csv with 20 rows; b.jsonl, in another layout and with sources, with 10; c.jsonl, without sources, with 8."""
    monkeypatch.chdir(tmp_path)
    write_comparisons(tmp_path / "a.csv", votes(20))
    pairs = [{"prompt": f"pair {i}", "chosen": f"a {i}", "rejected": "b"} for i in range(18)]
    write_jsonl(tmp_path / "b.jsonl", [pair | {"source": "forum"} for pair in pairs[:10]])
    write_jsonl(tmp_path / "c.jsonl", pairs[10:])
    return tmp_path


def load(**settings: Any) -> tuple[list[Comparison], tuple[SourceRows, ...], list[str]]:
    notes: list[str] = []
    return *load_train_rows(DataSection(**settings), notes.append), notes


@pytest.mark.parametrize("settings", [{"validation_rows": 2}, {"validation_share": 0.3}])
def test_one_file_is_read_and_split_as_before(folder: Path, settings: dict[str, Any]) -> None:
    rows, files, notes = load(train=folder / "a.csv")
    assert rows == list(load_comparisons("a.csv", votes="required"))
    assert [row.id for row in rows] == [str(i) for i in range(20)]
    assert ({row.tags for row in rows}, files, notes) == ({()}, (), [])
    split = split_votes(DataSection(train=folder / "a.csv", **settings), notes.append, on_files=notes.extend)
    sizes = {"validation_rows": None, "validation_share": None} | settings
    assert list(split[:2]) == list(split_by_prompt(rows, seed=42, **sizes))
    assert (split.calibration, notes) == ([], [])
    data = DataSection(train=folder / "a.csv")
    assert (validation_source(data), calibration_source(data)) == (f"{folder}/a.csv", "a.csv that were set aside")
    assert files_record([]) == {}


def test_the_split_of_one_file_has_the_rows_of_earlier_versions(folder: Path) -> None:
    split = split_votes(DataSection(train=folder / "a.csv", validation_rows=5), print)
    assert [row.id for row in split.validation] == ["1", "2", "9", "11", "19"]  # as commit a27d189 chose them


def test_a_list_has_ids_and_sources_by_file(folder: Path) -> None:
    rows, files, notes = load(train=["a.csv", "b.jsonl", "c.jsonl"])
    assert [row.id for row in rows] == [
        *(f"a:{i}" for i in range(20)), *(f"b:{i}" for i in range(10)), *(f"c:{i}" for i in range(8))
    ]  # fmt: skip
    assert Counter(dict(row.tags)["source"] for row in rows) == {"a": 20, "forum": 10, "c": 8}
    assert [replace(row, id=row.id[2:], tags=()) for row in rows[:20]] == list(
        load_comparisons("a.csv", votes="required")
    )
    assert files == (
        SourceRows(f"{folder}/a.csv", "a", 20, 20),
        SourceRows(f"{folder}/b.jsonl", "b", 10, 10),
        SourceRows(f"{folder}/c.jsonl", "c", 8, 8),
    )
    assert notes == ["Votes of 3 files: a (20 rows), b (10 rows), c (8 rows)."]


def test_sources_stand_among_the_tags_in_order(folder: Path) -> None:
    row = {"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie", "model_a": "x", "language": "en"}
    write_jsonl(folder / "tags.jsonl", [row])
    [comparison], *_ = load(train=["tags.jsonl"])
    assert comparison.tags == (("language", "en"), ("model_a", "x"), ("source", "tags"))
    assert comparison.id == "tags:0"


def test_a_glob_is_a_list_of_its_files(folder: Path) -> None:
    rows, files, _ = load(train="*.jsonl")
    assert rows == load(train=["b.jsonl", "c.jsonl"])[0]
    assert [file.name for file in files] == ["b", "c"]
    (folder / "c.jsonl").unlink()
    assert [row.id for row in load(train="*.jsonl")[0]] == [f"b:{i}" for i in range(10)]  # as with other files
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "a.csv").write_bytes((folder / "a.csv").read_bytes())
    sources = expand_sources(DataSection(train=[{"path": "**/*.csv", "share": 0.5}, "b.jsonl"]).train or ())
    assert [(source.path, source.share) for source in sources] == [
        (folder / "a.csv", 0.5), (folder / "deep" / "er" / "a.csv", 0.5), (folder / "b.jsonl", 1.0),
    ]  # fmt: skip


def test_a_share_takes_whole_prompts_and_the_same_ones_for_a_seed(folder: Path) -> None:
    write_comparisons(folder / "many.csv", votes(400, prompts=100))
    rows, [file], notes = load(train=[{"path": "many.csv", "share": 0.3}])
    assert (file.rows, file.used, len(rows)) == (400, 120, 120)
    assert set(Counter(row.prompt for row in rows).values()) == {4}
    assert notes == ["Votes of 1 file: many (120 of 400 rows)."]
    assert load(train=[{"path": "many.csv", "share": 0.3}])[0] == rows
    other = load(train=[{"path": "many.csv", "share": 0.3}], seed=7)[0]
    assert len(other) == 120
    assert {row.prompt for row in other} != {row.prompt for row in rows}
    most = load(train=[{"path": "many.csv", "share": 0.6}])[0]
    assert set(rows) < set(most)  # a larger share adds prompts
    write_comparisons(folder / "again.csv", votes(100))  # the same prompts
    again = [row for row in load(train=["a.csv", {"path": "again.csv", "share": 0.3}])[0] if row.id.startswith("again")]
    assert {row.prompt for row in again} == {row.prompt for row in rows}


def test_a_share_does_not_decide_the_split(folder: Path) -> None:
    """With one hash for both, all validation rows would be of the file with a share."""
    write_comparisons(folder / "x.csv", votes(1000))
    write_comparisons(folder / "y.csv", votes(200, first=1000))
    data = DataSection(train=[{"path": "x.csv", "share": 0.2}, "y.csv"], validation_share=0.2)
    split = split_votes(data, lambda _: None)
    counts = Counter(row.id[0] for row in split.validation)
    assert sum(counts.values()) == 80
    assert 28 <= counts["x"] <= 52  # 40 and three standard deviations of a binomial


def test_a_share_of_one_prompt_is_refused(folder: Path) -> None:
    write_comparisons(folder / "one.csv", votes(5, prompts=1))
    with pytest.raises(
        DataError, match=r"one\.csv: share=0\.5 of 5 comparisons with one and the same prompt: rows that"
    ):
        load(train=[{"path": "one.csv", "share": 0.5}])
    assert sample_by_prompt(votes(5, prompts=1), share=1, seed=0) == votes(5, prompts=1)
    assert len(sample_by_prompt(votes(5), share=0.01, seed=0)) == 1
    assert len(sample_by_prompt(votes(5), share=0.99, seed=0)) == 4


def test_a_weight_multiplies_that_of_the_rows(folder: Path) -> None:
    rows, files, notes = load(train=["a.csv", {"path": "b.jsonl", "weight": 2.5}])
    assert Counter(row.weight for row in rows) == {1.0: 20, 2.5: 10}
    assert [file.weight for file in files] == [1.0, 2.5]
    assert notes == ["Votes of 2 files: a (20 rows), b (10 rows, weight 2.5)."]


def test_a_prompt_in_two_files_is_on_one_side(folder: Path) -> None:
    write_comparisons(folder / "x.csv", votes(100))
    write_comparisons(folder / "y.csv", [replace(row, prompt=(f" {row.prompt[0].upper()}",)) for row in votes(150)])
    files: list[SourceRows] = []
    data = DataSection(train=["x.csv", "y.csv"], validation_rows=50)
    split = split_votes(data, print, on_files=files.extend)
    assert (len(split.training), len(split.validation)) == (200, 50)
    sides = [{row.folded_prompt for row in rows} for rows in split[:2]]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[0] | sides[1]) == 150
    assert [(file.name, file.used) for file in files] == [("x", 100), ("y", 150)]


def test_duplicates_across_files_are_counted(folder: Path) -> None:
    rows = votes(20)
    write_comparisons(folder / "x.csv", [*rows[:3], rows[0]])  # twice in x, and once in a
    write_comparisons(folder / "y.csv", [rows[4].swap(), replace(rows[5], answer_b=("other",))])
    _, _, notes = load(train=["a.csv", "x.csv", "y.csv"], problem_rows="keep")
    assert notes[-1] == "4 comparisons (prompt and both answers) are in more than one file: 9 rows, all used."
    write_comparisons(folder / "z.csv", rows[:1])
    assert load(train=["a.csv", "z.csv"])[2][-1] == (
        "1 comparison (prompt and both answers) is in more than one file: 2 rows, all used."
    )


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/v/a.csv", "/v/b.jsonl.gz"], ["a", "b"]),
        (["/v/a.csv", "/v/a.parquet"], ["a.csv", "a.parquet"]),
        (["/v/x/a.csv", "/v/y/a.csv", "/v/b.csv"], ["x/a.csv", "y/a.csv", "b"]),
        (["/v/x/z/a.csv", "/v/y/z/a.csv", "/v/a.json"], ["x/z/a.csv", "y/z/a.csv", "a.json"]),
        (["org/votes:test", "org/votes:train", "/v/votes.csv"], ["votes:test", "votes:train", "votes"]),
        (["org/v1.2", "other/v1.2"], ["org/v1.2", "other/v1.2"]),
    ],
)
def test_names_are_as_short_as_they_can_be(paths: list[str], names: list[str]) -> None:
    assert unique_names(list(map(Path, paths))) == names


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            ["a.csv", "./a.csv"],
            r"data\.train names .*/a\.csv twice: by .*/a\.csv and by .*/a\.csv\. Remove one of them",
        ),
        (["*.jsonl", "b.jsonl"], r"data\.train names .*/b\.jsonl twice: by .*/\*\.jsonl and by .*/b\.jsonl\."),
        (["o/n:test", "o/n:test"], r"data\.train names o/n:test twice"),
        (["o/n", "o/n:train"], r"data\.train names o/n:train twice: by o/n and by o/n:train\."),
        (["o/n:default:train", "o/n"], r"data\.train names o/n twice"),
        (["a.csv", "d.csv"], r"d\.csv does not exist: check the path; .* Names like it in .*: a\.csv\.$"),
        ("c*.csv", r"c\*\.csv matches no file: check the pattern; relative ones start at .*"),
        (["a.txt"], r"a\.txt ends in '\.txt', which is not a known format"),
        (".", r"is a folder: name one file of votes in it"),
    ],
)
def test_mistakes_are_found_before_work_starts(folder: Path, train: Any, message: str) -> None:
    (folder / "a.txt").write_text("a")
    with pytest.raises(DataError, match=message):
        check_sources(DataSection(train=train))


def test_validation_and_calibration_are_checked_too(folder: Path) -> None:
    check_sources(DataSection(train=["a.csv", "org/name:test"], validation="b.jsonl"))
    for key in ("validation", "calibration"):
        with pytest.raises(DataError, match=r"none\.csv does not exist"):
            check_sources(DataSection(train="a.csv", **{key: "none.csv"}))


def test_names_of_several_files(folder: Path) -> None:
    data = DataSection(train=["a.csv", "*.jsonl", "org/name:test"])
    assert data.train is not None
    assert train_name(data.train) == "a.csv, *.jsonl, name:test"
    assert validation_source(data) == f"{folder}/a.csv, {folder}/*.jsonl, org/name:test"
    record = files_record([SourceRows(f"{folder}/a.csv", "a", 1234, 300, 2.0), SourceRows("o/n", "n", 1, 1)])
    assert record["train_files"][0] == {
        "path": f"{folder}/a.csv", "name": "a", "rows": 1234, "used": 300, "weight": 2.0
    }  # fmt: skip
    assert describe_train(data.train, record) == "a (300 of 1,234 rows, weight 2), n (1 row)"
    assert describe_train(data.train, {"prompt_fold": CURRENT_FOLD}) == "a.csv, *.jsonl, name:test"


def test_the_local_files_of_a_recipe(folder: Path) -> None:
    (folder / "set").mkdir()
    (folder / "set" / "README.md").write_text("")
    (folder / "set" / "train.csv").write_text("")
    data = DataSection(train=["*.jsonl", "set:train", "org/name", "gone.csv"], validation="a.csv")
    names = [os.path.relpath(path, folder) for path in source_files(data)]
    assert sorted(names) == ["a.csv", "b.jsonl", "c.jsonl", "set/README.md", "set/train.csv"]
