"""The report of runs made by hand: baselines and blends have no more than this."""

from __future__ import annotations

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tiebreak.report.baselines import BASELINE_NAMES, fit_baselines
from tiebreak.report.predictions import read_run_predictions

from tiebreak.data import write_comparisons
from tiebreak.errors import RunError
from tiebreak.metrics import preference_metrics
from tiebreak.recipe import BaselineSection, DataSection, load_recipe
from tiebreak.report import baselines as ladder
from tiebreak.report import write_report
from tiebreak.report.page import marked
from tiebreak.runs import RunFolder, write_predictions
from tiebreak.types import Comparison, Vote

NASTY = "<script>alert('x')</script> & more"
VOTES: list[Vote] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def comparisons(votes: list[Vote]) -> list[Comparison]:
    return [
        Comparison((f"{NASTY} {i}",), ("a " * (i + 300) + NASTY,), (f"b {NASTY}",), vote, id=f"row-{i}")
        for i, vote in enumerate(votes)
    ]


def made(folder: Path, rows: list[Comparison], rewards: bool = False) -> dict[str, float]:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "baseline.json").write_text("{}")
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([1, 1, 1], len(rows))
    votes = [row.vote for row in rows if row.vote is not None]
    write_predictions(
        folder / "predictions.parquet", rows, probabilities, random.normal(size=(len(rows), 2)) if rewards else None
    )
    metrics = preference_metrics(probabilities, votes)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return metrics


def page_of(path: Path) -> str:
    page = path.read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert "<script" not in page
    assert "http:" not in page
    assert "https:" not in page
    assert " src=" not in page
    return page


def test_numbers_are_those_of_metrics_and_texts_are_escaped(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 20)
    metrics = made(tmp_path / "run", rows, rewards=True)
    write_comparisons(tmp_path / "votes.csv", rows[::-1])
    page = page_of(write_report(tmp_path / "run", on=tmp_path / "votes.csv"))
    assert f"<b>{metrics['loss']:.4f}</b>" in page
    assert f"<b>{100 * metrics['accuracy']:.1f} %</b>" in page
    assert "&lt;script&gt;alert(" in page
    assert "show all" in page
    assert 'id="rewards"' in page


def test_without_texts_it_says_what_is_missing(tmp_path: Path) -> None:
    made(tmp_path / "run", comparisons(VOTES * 5))
    told: list[str] = []
    page = page_of(write_report(tmp_path / "run", output=tmp_path / "r.html", log=told.append))
    assert "--on VOTES" in page
    assert "no classical judges" in " ".join(told).lower()


@pytest.mark.parametrize("votes", [[VOTES[0]] * 9, [VOTES[2]]])
def test_one_class_and_one_row(tmp_path: Path, votes: list[Vote]) -> None:
    rows = comparisons(votes)
    made(tmp_path / "run", rows)
    write_comparisons(tmp_path / "votes.csv", rows)
    assert "no votes" in page_of(write_report(tmp_path / "run", on=tmp_path / "votes.csv"))


def test_runs_beside_are_of_the_same_rows(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 5)
    made(tmp_path / "run", rows)
    made(tmp_path / "same", rows[::-1])
    made(tmp_path / "other", rows[:6])
    assert str(tmp_path / "same") in page_of(write_report(tmp_path / "run", beside=[tmp_path / "same"]))
    with pytest.raises(RunError, match="was validated on other rows: 6 of its 6 ids"):
        write_report(tmp_path / "run", beside=[tmp_path / "other"])


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    made(tmp_path / "run", comparisons(VOTES))
    (tmp_path / "run" / "predictions.parquet").write_text("no parquet")
    with pytest.raises(RunError, match=r"predictions\.parquet cannot be read"):
        write_report(tmp_path / "run")
    (tmp_path / "run" / "predictions.parquet").unlink()
    with pytest.raises(RunError, match=r"keeps no predictions\.parquet"):
        write_report(tmp_path / "run")
    with pytest.raises(RunError, match="There is no run folder"):
        write_report(tmp_path / "nothing")


def test_rungs_are_kept_until_votes_or_files_change(tmp_path: Path) -> None:
    """What was fitted once is found again; other votes, another recipe and damage mean fitting anew."""
    write_comparisons(tmp_path / "train.csv", comparisons(VOTES * 10))
    rows = comparisons(VOTES * 3)
    write_comparisons(tmp_path / "validation.csv", rows)
    made(tmp_path / "run", rows)
    judged = read_run_predictions(tmp_path / "run")
    data = DataSection(train=tmp_path / "train.csv", validation=tmp_path / "validation.csv")
    told: list[str] = []

    def fitted(data: DataSection) -> int:
        """How many are fitted, of two."""
        told.clear()
        rungs, missing = fit_baselines(
            RunFolder(tmp_path / "run"), judged, data, leave_out=("tfidf", "trees"), whole=False, log=told.append
        )
        assert missing == ""
        assert [rung.name for rung in rungs] == [BASELINE_NAMES["prior"], BASELINE_NAMES["length"]]
        assert all(rung.ids == judged.ids for rung in rungs)
        return len(told)

    assert fitted(data) == 2
    assert fitted(data) == 0
    assert fitted(data.model_copy(update={"train_rows": 20})) == 2
    (tmp_path / "run" / "baselines" / "length" / "predictions.parquet").write_text("no parquet")
    assert fitted(data.model_copy(update={"train_rows": 20})) == 1
    later = (tmp_path / "run" / "baselines" / "length" / "metrics.json").stat().st_mtime + 9
    os.utime(tmp_path / "train.csv", (later, later))
    assert fitted(data.model_copy(update={"train_rows": 20})) == 2


def test_many_votes_grow_trees_only_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "MAX_VOTES_FOR_TREES", 20)
    write_comparisons(tmp_path / "train.csv", comparisons(VOTES * 10))
    rows = comparisons(VOTES * 3)
    write_comparisons(tmp_path / "validation.csv", rows)
    made(tmp_path / "run", rows)
    data = DataSection(train=tmp_path / "train.csv", validation=tmp_path / "validation.csv")
    run, judged = RunFolder(tmp_path / "run"), read_run_predictions(tmp_path / "run")
    rungs, missing = fit_baselines(run, judged, data, leave_out=("tfidf",), whole=False, log=print)
    assert len(rungs) == 2
    assert "growing them from 30 votes" in missing
    rungs, missing = fit_baselines(run, judged, data, leave_out=("tfidf",), whole=True, log=print)
    assert [rung.name for rung in rungs][-1] == BASELINE_NAMES["trees"]
    assert missing == ""


def test_rows_with_other_votes_are_not_stood_beside(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 3)
    write_comparisons(tmp_path / "train.csv", comparisons(VOTES * 10))
    write_comparisons(tmp_path / "validation.csv", comparisons([VOTES[2]] * 9))
    made(tmp_path / "run", rows)
    data = DataSection(train=tmp_path / "train.csv", validation=tmp_path / "validation.csv")
    rungs, missing = fit_baselines(
        RunFolder(tmp_path / "run"), read_run_predictions(tmp_path / "run"), data, leave_out=(), whole=False, log=print
    )  # fmt: skip
    assert rungs == []
    assert "are not those the run was validated on" in missing


def test_the_rungs_have_the_settings_of_the_shipped_recipes() -> None:
    for kind in BASELINE_NAMES:
        assert load_recipe(f"baseline-{kind}").baseline == BaselineSection(kind=kind)


def test_code_in_sentences_is_marked_and_escaped() -> None:
    assert marked("a <b> `c < d` e") == "a &lt;b&gt; <code>c &lt; d</code> e"
    assert marked("one ` only <") == "one ` only &lt;"
