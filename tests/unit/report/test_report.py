"""The report of runs made by hand: baselines and blends have no more than this."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.workflows.runs import NASTY, VOTES, comparisons, write_run
from tiebreak.data import write_comparisons
from tiebreak.errors import RunError
from tiebreak.report import write_report
from tiebreak.report.page import mark_code
from tiebreak.runs import RunFolder, write_training_prompts, write_validation_rows
from tiebreak.types import Vote

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
    metrics = write_run(tmp_path / "run", rows, rewards=True)
    write_comparisons(tmp_path / "votes.csv", rows[::-1])
    page = page_of(write_report(tmp_path / "run", on=tmp_path / "votes.csv"))
    assert f"<b>{metrics['loss']:.4f}</b>" in page
    assert f"<b>{100 * metrics['accuracy']:.1f} %</b>" in page
    assert "&lt;script&gt;alert(" in page
    assert "show all" in page
    assert 'id="rewards"' in page


def test_kept_validation_rows_need_no_file_of_votes(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 5)
    write_run(tmp_path / "run", rows)
    write_validation_rows(RunFolder(tmp_path / "run"), rows, None)
    page = page_of(write_report(tmp_path / "run"))
    assert "--on VOTES" not in page
    assert "&lt;script&gt;alert(" in page
    write_validation_rows(RunFolder(tmp_path / "run"), rows[1:], None)
    assert "does not hold the rows of predictions.parquet" in page_of(write_report(tmp_path / "run"))


def test_rows_that_a_compared_run_was_trained_on_are_counted(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 4)
    for name, trained in (("run", []), ("other", rows[:3])):
        write_run(tmp_path / name, rows)
        write_validation_rows(RunFolder(tmp_path / name), rows, None)
        write_training_prompts(RunFolder(tmp_path / name), trained)
    log: list[str] = []
    page = write_report(tmp_path / "run", beside=[tmp_path / "other"], log=log.append).read_text()
    warnings = [line for line in log if "trained on" in line]
    share = f"3 of 12 rows have prompts that {tmp_path / 'other'} was trained on (25.0%): "
    assert [line.startswith(share) for line in warnings if "No baselines" not in line] == [True]
    assert share in page


def test_a_report_names_what_is_missing(tmp_path: Path) -> None:
    write_run(tmp_path / "run", comparisons(VOTES * 5))
    log: list[str] = []
    page = page_of(write_report(tmp_path / "run", output=tmp_path / "r.html", log=log.append))
    assert "--on VOTES" in page
    assert "no baselines" in " ".join(log).lower()
    assert "baselines" not in page_of(write_report(tmp_path / "run", baselines=False)).lower()


@pytest.mark.parametrize("votes", [[VOTES[0]] * 9, [VOTES[2]]])
def test_one_class_and_one_row(tmp_path: Path, votes: list[Vote]) -> None:
    rows = comparisons(votes)
    write_run(tmp_path / "run", rows)
    write_comparisons(tmp_path / "votes.csv", rows)
    assert "no votes" in page_of(write_report(tmp_path / "run", on=tmp_path / "votes.csv"))


def test_other_runs_are_of_the_same_rows(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 5)
    write_run(tmp_path / "run", rows)
    write_run(tmp_path / "same", rows[::-1])
    write_run(tmp_path / "other", rows[:6])
    assert str(tmp_path / "same") in page_of(write_report(tmp_path / "run", beside=[tmp_path / "same"]))
    with pytest.raises(RunError, match="was validated on other rows: 6 of its 6 ids"):
        write_report(tmp_path / "run", beside=[tmp_path / "other"])


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path / "run", comparisons(VOTES))
    (tmp_path / "run" / "predictions.parquet").write_text("no parquet")
    with pytest.raises(RunError, match=r"predictions\.parquet cannot be read"):
        write_report(tmp_path / "run")
    (tmp_path / "run" / "predictions.parquet").unlink()
    with pytest.raises(RunError, match=r"has no predictions\.parquet"):
        write_report(tmp_path / "run")
    with pytest.raises(RunError, match="There is no run folder"):
        write_report(tmp_path / "nothing")


def test_code_in_sentences_is_marked_and_escaped() -> None:
    assert mark_code("a <b> `c < d` e") == "a &lt;b&gt; <code>c &lt; d</code> e"
    assert mark_code("one ` only <") == "one ` only &lt;"
    assert NASTY not in mark_code(f"`{NASTY}`")
