"""The report of runs made by hand: baselines and blends have no more than this."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tiebreak.comparison import Comparison, Vote
from tiebreak.data import write_comparisons
from tiebreak.errors import RunError
from tiebreak.judging import preference_metrics, write_predictions
from tiebreak.report import write_report

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
    page = page_of(write_report(tmp_path / "run", output=tmp_path / "r.html", tell=told.append))
    assert "--on VOTES" in page
    assert len(told) == 1


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
