"""Data sets in the layout of the hub, read from local folders as from the hub; and what is said if one cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.votefiles import lmsys_row, write_csv, write_jsonl, write_parquet
from tiebreak.data import check_votes_path, load_votes, read_candidates, read_votes
from tiebreak.data.readers import hub_dataset
from tiebreak.errors import DataError, TiebreakError

CARD = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
---
"""
VOTE = {"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards of training rows, and one of test rows."""
    data = tmp_path / "set" / "data"
    data.mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text(CARD)
    rows = [lmsys_row(id=number, extra=number) for number in range(7)]
    write_parquet(data / "train-00000-of-00002.parquet", rows[:3])
    write_parquet(data / "train-00001-of-00002.parquet", rows[3:5])
    write_parquet(data / "test-00000-of-00001.parquet", rows[5:])
    return tmp_path / "set"


def make(folder: Path, card: str = "license: mit", **files: Callable[[Path], object]) -> Path:
    folder.mkdir()
    (folder / "README.md").write_text(f"---\n{card}\n---\n")
    for name, write in files.items():
        write(folder / name.replace("__", "."))
    return folder


def test_a_split_is_read_as_one_file(folder: Path) -> None:
    file = read_votes(folder, votes="required")
    assert (file.path, file.format, file.layout, file.rows) == (folder, "dataset", "lmsys", 5)
    assert [row.id for row in file.comparisons] == ["0", "1", "2", "3", "4"]
    assert file.lines == (1, 2, 3, 4, 5)
    assert file.integer_ids
    assert [column.name for column in file.unread_columns] == ["extra"]
    assert file.comparisons == sum(
        (read_votes(path, votes="required").comparisons for path in sorted(folder.glob("data/train-*"))), ()
    )
    for name in (f"{folder}:test", f"{folder}:default:test"):
        assert [row.id for row in load_votes(name, votes="required").comparisons] == ["5", "6"]


def test_problems_have_the_number_of_the_row(folder: Path) -> None:
    write_parquet(folder / "data" / "train-00001-of-00002.parquet", [lmsys_row(id=3, response_a="", extra=0)])
    with pytest.raises(DataError, match=rf"{folder}: 1 of 4 rows .*\n  row 4, id 3, response_a: is empty"):
        load_votes(folder, votes="required")


def test_cells_of_csv_stay_texts_and_class_labels_get_their_names(tmp_path: Path) -> None:
    rows = [
        lmsys_row(id="007", prompt="1", response_a="None", response_b="2"),
        lmsys_row(id="8", prompt="2", response_a="NA", response_b=""),
    ]
    votes = make(tmp_path / "csv", train__csv=lambda path: write_csv(path, rows))
    plain = read_votes(votes / "train.csv", votes="required")
    file = read_votes(votes, votes="required")
    assert [row.id for row in file.comparisons] == ["007", "8"]
    assert [row.answer_a for row in file.comparisons] == [("None",), ("NA",)]
    assert file.comparisons == plain.comparisons

    card = """dataset_info:
  features:
  - {name: prompt, dtype: string}
  - {name: response_a, dtype: string}
  - {name: response_b, dtype: string}
  - name: winner
    dtype: {class_label: {names: {'0': model_a, '1': model_b, '2': tie}}}"""
    labels = [VOTE | {"winner": number} for number in (2, 0, 1)]
    labelled = make(tmp_path / "labels", card, train__parquet=lambda path: write_parquet(path, labels))
    votes_of = [row.vote for row in read_votes(labelled, votes="required").comparisons]
    assert votes_of == [(0, 0, 1), (1, 0, 0), (0, 1, 0)]


def test_no_image_is_decoded(tmp_path: Path) -> None:
    """The bytes are no image, and decoding them would be an error."""
    from datasets import Dataset, Features, Image, List, Value

    parts = List({"type": Value("string"), "text": Value("string"), "image": Image()})
    messages = List({"role": Value("string"), "content": parts})

    def conversation(answer: str) -> list[dict[str, Any]]:
        image = {"bytes": b"no image", "path": None}
        return [
            {"role": "user", "content": [{"type": "image", "text": None, "image": image}]},
            {"role": "assistant", "content": [{"type": "text", "text": answer, "image": None}]},
        ]

    rows = {"chosen": [conversation("a")], "rejected": [conversation("b")]}
    data = Dataset.from_dict(rows, features=Features(chosen=messages, rejected=messages))
    images = make(tmp_path / "images", train__parquet=lambda path: data.to_parquet(str(path)))
    assert [str(problem) for problem in read_votes(images, votes="required").problems] == [
        f"row 1, {column}: has an image in message 1: a judge reads text alone" for column in ("chosen", "rejected")
    ]


def test_messages_of_mixed_types(tmp_path: Path) -> None:
    def conversation(content: object) -> list[dict[str, Any]]:
        return [{"role": "user", "content": "p"}, {"role": "assistant", "content": content}]

    row = {"chosen": conversation("a"), "rejected": conversation([{"type": "text", "text": "b"}])}
    mixed = make(tmp_path / "mixed", train__jsonl=lambda path: write_jsonl(path, [row]))
    [comparison] = read_votes(mixed, votes="required").comparisons
    assert (comparison.prompt, {comparison.answer_a, comparison.answer_b}) == (("p",), {("a",), ("b",)})


def test_candidates_are_read_too(tmp_path: Path) -> None:
    row = {"prompt": "p", "responses": ["a", "b"]}
    folder = make(tmp_path / "candidates", test__jsonl=lambda path: write_jsonl(path, [row]))
    assert read_candidates(folder).rows[0].answers == (("a",), ("b",))  # the only split


CONFIGS = """configs:
- {config_name: one, data_files: one.jsonl}
- {config_name: two, data_files: [{split: dev, path: dev.jsonl}, {split: test, path: test.jsonl}]}"""


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("", r"{0} has several configurations\. Name one, as in {0}:one:train: one, two\.$"),
        (":one", r"{0} has several configurations\. Name one, as in {0}:one:train: one, two\.$"),
        (":three:train", r"{0} has no configuration 'three'\. Name one, as in {0}:one:train: one, two\.$"),
        (":two:train", r"{0} has no split 'train'\. Its splits are: dev, test\.$"),
    ],
)
def test_configurations(tmp_path: Path, part: str, message: str) -> None:
    files = dict.fromkeys(("one__jsonl", "dev__jsonl", "test__jsonl"), lambda path: write_jsonl(path, [VOTE]))
    folder = make(tmp_path / "configs", CONFIGS, **files)
    assert len(read_votes(f"{folder}:one:train", votes="required").comparisons) == 1
    with pytest.raises(DataError, match=message.format(folder)):
        read_votes(f"{folder}{part}", votes="required")


def test_splits_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{folder} has no split 'dev'\. Its splits are: train, test\.$"):
        read_votes(f"{folder}:dev", votes="required")
    with pytest.raises(
        DataError, match=rf"{folder} has no split 'default', but a configuration of this name\. Name it"
    ):
        read_votes(f"{folder}:default", votes="required")
    (folder / "README.md").write_text(CARD.replace("split: train", "split: dev"))
    with pytest.raises(
        DataError,
        match=rf"{folder} has several splits and none is called train\. Name one, as in {folder}:dev: dev, te",
    ):
        read_votes(folder, votes="required")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    broken = make(tmp_path / "broken", train__parquet=lambda path: path.write_text("text"))
    with pytest.raises(DataError, match=rf"^The data set {broken} cannot be read: Parquet file size is 4 bytes.*$"):
        read_votes(broken, votes="required")
    script = make(tmp_path / "script", script__py=lambda path: path.write_text("raise SystemExit('executed')"))
    with pytest.raises(DataError, match=rf"^The data set {script} cannot be read: Dataset scripts are no longer supp"):
        read_votes(script, votes="required")


def raises(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("datasets.load_dataset_builder", load)


def test_what_the_hub_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from datasets.exceptions import DatasetNotFoundError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "names").write_text("")
    raises(monkeypatch, ConnectionError("Couldn't reach 'org/name' on the Hub"))
    with pytest.raises(DataError) as caught:
        read_votes("org/name:test", votes="required")
    assert str(caught.value) == (
        "The hub cannot be reached for the data set org/name, which is not in the local cache; there is no file "
        f"{tmp_path}/org/name:test either. Names like it in {tmp_path}/org: names."
    )
    raises(monkeypatch, DatasetNotFoundError("Dataset 'no/such' doesn't exist on the Hub or cannot be accessed."))
    with pytest.raises(DataError) as caught:
        read_votes("no/such", votes="required")
    assert str(caught.value) == (
        "The hub has no data set no/such, or it is private (log in with `hf auth login`, or set HF_TOKEN); there is no "
        f"file {tmp_path}/no/such either."
    )
    raises(monkeypatch, DatasetNotFoundError("Dataset 'no/such' is a gated dataset on the Hub. Visit the page"))
    with pytest.raises(
        DataError, match=r"^The data set no/such is gated\. Accept its conditions on its hub page, creat"
    ):
        read_votes("no/such", votes="required")


def test_without_a_network_the_command_ends_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tiebreak", "check", "org/name:a:b"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path),
        "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: The hub cannot be reached for the data set org/name, which is not in the local cache; there is no file "
        f"{tmp_path}/org/name:a:b either.\n"
    )


def test_the_library_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    check_votes_path(Path("org/name"))
    monkeypatch.setattr(hub_dataset, "find_spec", lambda _: None)
    for check in (lambda: check_votes_path(Path("org/name")), lambda: read_votes("org/name", votes="required")):
        with pytest.raises(TiebreakError) as caught:
            check()
        assert str(caught.value) == (
            "Reading a data set of the hub needs datasets, which is not installed. "
            "Install with: pip install 'tiebreak[train]'"
        )


def test_names_like_that_of_a_missing_file_are_listed(tmp_path: Path) -> None:
    (tmp_path / "votes-2024.csv").write_text("")
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(
        DataError, match=rf"vote-2024\.csv does not exist: .*\. Names like it in {tmp_path}: votes-2024"
    ):
        read_votes(tmp_path / "vote-2024.csv", votes="required")
    with pytest.raises(DataError, match=r"is a folder: name one file of votes in it\. A folder with a README\.md"):
        read_votes(tmp_path, votes="required")


def test_a_summary_is_json(folder: Path) -> None:
    from tiebreak.data import summarise

    summary = summarise(read_votes(folder, votes="required")).to_dict()
    assert (summary["path"], summary["format"], summary["rows"]) == (str(folder), "dataset", 5)
    assert json.loads(json.dumps(summary))["rows"] == 5
