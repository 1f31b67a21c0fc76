"""Training on a list of a file, a glob and a data set in the hub's layout, by the command line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.conftest import small_votes, tiebreak
from tiebreak.data.writer import write_comparisons
from tiebreak.runs import RunFolder, read_validation_rows

TRAIN = "data.train=[{path: a.csv, share: 0.5}, 'more/*.csv', hub:train]"
SMALL = (
    "data.validation_rows=20", "text.max_length=64", "training.max_steps=2", "training.batch_size=4",
    "training.save_steps=2", "training.eval_steps=2", "training.report_to=[]", "lora.r=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.csv has 40 rows, more/b.csv 30, more/c.csv 20 of the same prompts as b.csv, hub:train 10 and hub:test 5."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "more").mkdir()
    (folder / "hub" / "data").mkdir(parents=True)
    write_comparisons(folder / "a.csv", small_votes(40))
    write_comparisons(folder / "more" / "b.csv", small_votes(30, first=40))
    write_comparisons(folder / "more" / "c.csv", small_votes(20, first=40))
    pairs = [
        {"prompt": row.prompt[0], "chosen": row.answer_a[0], "rejected": row.answer_b[0], "source": "forum"}
        for row in small_votes(15, first=100)
    ]
    for name, rows in (
        ("train-00000-of-00002", pairs[:5]),
        ("train-00001-of-00002", pairs[5:10]),
        ("test", pairs[10:]),
    ):
        pq.write_table(pa.Table.from_pylist(rows), folder / "hub" / "data" / f"{name}.parquet")
    (folder / "hub" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - {split: train, path: data/train-*}\n  - {split: test, path: data/test*}\n---\n"
    )
    return folder


@pytest.fixture(autouse=True)
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))


def run(folder: Path, *arguments: str) -> tuple[str, str]:
    done = tiebreak(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_train_report_and_judge(folder: Path) -> None:
    _, log = run(folder, "train", "demo", TRAIN, "output=run", *SMALL, "--no-baselines")
    assert "Votes of 4 files: a (20 of 40 rows), b (30 rows), c (20 rows), hub:train (10 rows)." in log
    assert "20 comparisons (prompt and both answers) are in more than one file: 40 rows, all used." in log
    assert "Training rows: 60." in log
    assert "Validation rows: 20." in log
    assert json.loads((folder / "run" / "environment.json").read_text())["train_files"] == [
        {"path": f"{folder}/{path}", "name": name, "rows": rows, "used": used, "weight": 1.0}
        for path, name, rows, used in (
            ("a.csv", "a", 40, 20), ("more/b.csv", "b", 30, 30), ("more/c.csv", "c", 20, 20),
            ("hub:train", "hub:train", 10, 10),
        )
    ]  # fmt: skip
    kept = read_validation_rows(RunFolder(folder / "run"))
    assert kept is not None
    assert (kept.source, kept.source_sha256) == (f"{folder}/a.csv, {folder}/more/*.csv, {folder}/hub:train", "")
    ids = pd.read_parquet(folder / "run" / "predictions.parquet")["id"].tolist()
    assert ids == [row.id for row in kept.comparisons]
    by_name = Counter(row.id.rpartition(":")[0] for row in kept.comparisons)
    assert sum(by_name.values()) == 20
    assert by_name["b"] >= by_name["c"]  # every prompt of c.csv is in b.csv too
    assert {row.id[2:] for row in kept.comparisons if row.id[0] == "c"} <= {
        row.id[2:] for row in kept.comparisons if row.id[0] == "b"
    }
    sources = {row.id.rpartition(":")[0]: dict(row.tags)["source"] for row in kept.comparisons}
    assert sources == {name: "forum" if name == "hub:train" else name for name in sources}

    _, log = run(folder, "train", "demo", TRAIN, "output=run", *SMALL, "--resume")
    assert "is finished already: nothing to do" in log
    run(folder, "report", "run")
    page = (folder / "run" / "report.html").read_text()
    assert "a (20 of 40 rows), b (30 rows), c (20 rows), hub:train (10 rows)" in page

    out, _ = run(folder, "evaluate", "run", "hub:test", "--json")
    assert json.loads(out)["rows"] == 5


def test_plan_and_check_name_what_they_read(folder: Path) -> None:
    _, log = run(folder, "plan", "demo", TRAIN, "--gpu", "h200")
    assert "Votes of 4 files: a (20 of 40 rows), b (30 rows), c (20 rows), hub:train (10 rows)." in log
    out, _ = run(folder, "check", "hub:test")
    assert out.startswith("hub:test: 5 rows (dataset, chosen-rejected)\n")


def test_one_file_leaves_no_trace_of_lists(folder: Path) -> None:
    _, log = run(folder, "train", "baseline-length", "data.train=a.csv", "output=one")
    assert "Votes of" not in log
    assert "train_files" not in json.loads((folder / "one" / "environment.json").read_text())
    assert f"  train: {folder}/a.csv\n" in (folder / "one" / "recipe.yaml").read_text()
    ids = pd.read_parquet(folder / "one" / "predictions.parquet")["id"].tolist()
    assert all(row.startswith("row-") for row in ids)


def test_a_baseline_of_several_files(folder: Path) -> None:
    run(folder, "train", "baseline-length", "data.train=[a.csv,hub]", "output=two")
    record = json.loads((folder / "two" / "environment.json").read_text())["train_files"]
    assert [(file["name"], file["used"]) for file in record] == [("a", 40), ("hub", 10)]
    run(folder, "predict", "two", "hub", "-o", "predicted.parquet")
    assert pd.read_parquet(folder / "predicted.parquet")["id"].tolist() == list(range(10))
    run(folder, "evaluate", "two", "--baselines")
    assert (folder / "two" / "baselines" / "tfidf" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "b*.csv",
            "Error: {0}/b*.csv matches no file: check the pattern; relative ones start at {0}. Names like it in {0}: "
            "a.csv.\n",
        ),
        (
            "[a.csv,aa.csv]",
            "Error: {0}/aa.csv does not exist: check the path; relative paths start at {0}. Names like it in {0}: "
            "a.csv.\n",
        ),
    ],
)
def test_mistakes_end_with_one_line(folder: Path, value: str, message: str) -> None:
    done = tiebreak("train", "demo", f"data.train={value}", "output=none", cwd=folder)
    assert (done.returncode, done.stderr) == (1, message.format(folder))
    assert not (folder / "none").exists()
