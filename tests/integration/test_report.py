"""`tiebreak report` as a process of its own, on runs that were trained: what the page holds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.integration.conftest import small_overrides, small_votes, tiebreak
from tiebreak import load_recipe, train
from tiebreak.data.writer import write_comparisons
from tiebreak.training import TrainingResult

NASTY = "<script>alert(1)</script> </style> good answer"
VOID = {"meta", "br", "img", "link", "hr", "input"}
FETCHING = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


class Page(HTMLParser):
    """Its tags in order, what its sections are called, and its text by section."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [f"{name}={value}" for name, value in attrs if name in FETCHING]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h2":
            self._section = dict(attrs)["id"] or ""

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text[self._section] = f"{self.text.get(self._section, '')} {data.strip()}".strip()


def page_of(path: Path) -> Page:
    """The page, after a check that it needs nothing from elsewhere."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & {*page.tags}
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("style") == 1
    return page


@pytest.fixture(scope="module")
def run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A pairwise judge whose validation holds texts that would break a careless page."""
    folder = tmp_path_factory.mktemp("report")
    held_out = [
        replace(row, prompt=(f"{NASTY} {row.prompt[0]}",), answer_a=(f"{row.answer_a[0]} {NASTY} {NASTY}",))
        for row in small_votes(30, first=90)
    ]
    write_comparisons(folder / "train.csv", small_votes(90))
    write_comparisons(folder / "validation.csv", held_out)
    files = folder / "train.csv", folder / "validation.csv"
    return train(load_recipe("demo", small_overrides(tiny_base, files, folder / "run", "text.max_length=37")))


def test_the_page_of_a_pairwise_judge(run: TrainingResult) -> None:
    done = tiebreak("report", run.folder, "--bias", "--baselines")
    assert done.returncode == 0, done.stderr
    assert str(run.folder.path / "report.html") in done.stdout
    page = page_of(run.folder.path / "report.html")
    assert {*page.text} >= {
        "headline", "curves", "confusion", "reliability", "parts", "biases", "mistakes", "ties", "cuts", "recipe",
        "cost",
    }  # fmt: skip

    metrics = json.loads(run.folder.metrics.read_text(encoding="utf-8"))
    assert page.text["headline"].startswith(f"Metrics {metrics['loss']:.4f}")
    assert f"{100 * metrics['accuracy']:.1f} %" in page.text["headline"]
    for outcome in ("model_a", "model_b", "tie"):
        assert f"{metrics[f'loss_{outcome}']:.4f}" in page.text["confusion"]
    for name in ("boosted trees", "words (tf-idf)", "length and format", "shares of the training votes"):
        assert name in page.text["headline"]
    for kind in ("prior", "length", "tfidf", "trees"):
        kept = json.loads((run.folder.path / "baselines" / kind / "metrics.json").read_text(encoding="utf-8"))
        assert f"{kept['loss']:.4f}" in page.text["headline"]
    for heading in ("Position", "Agreement of the two orders", "Length", "Format", "flip rate", "swap gap"):
        assert heading in page.text["biases"]
    assert NASTY in page.text["mistakes"] + page.text["ties"]
    assert "30 of 30 comparisons were truncated" in page.text["cuts"]
    assert "tokens of these texts were truncated" in page.text["mistakes"] + page.text["ties"]


def test_baselines_and_orders_are_kept_and_can_be_left_out(run: TrainingResult) -> None:
    first = tiebreak("report", run.folder, "--bias", "--baselines")
    assert first.returncode == 0, first.stderr
    again = tiebreak("report", run.folder)
    assert again.returncode == 0, again.stderr
    assert "Fitting" not in again.stderr
    page = page_of(run.folder.path / "report.html")
    assert "flip rate" in page.text["biases"]
    assert "boosted trees" in page.text["headline"]
    without = tiebreak("report", run.folder, "--no-baselines", "--no-bias")
    assert without.returncode == 0, without.stderr
    page = page_of(run.folder.path / "report.html")
    assert "boosted trees" not in page.text["headline"]
    assert "--no-bias" in page.text["biases"]


def test_votes_that_are_gone(run: TrainingResult, tmp_path: Path) -> None:
    """A run of Tiebreak 0.1 keeps neither its validation rows nor hashes of its prompts."""
    newer = shutil.ignore_patterns("baselines", "orders.parquet", "validation.parquet", "training_prompts.npy")
    shutil.copytree(run.folder.path, tmp_path / "run", ignore=newer)
    recipe = tmp_path / "run" / "recipe.yaml"
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace(str(run.folder.path.parent), str(tmp_path / "nowhere"))
    )
    done = tiebreak("report", tmp_path / "run", "--baselines")
    assert done.returncode == 0, done.stderr
    assert "Baselines were not fitted, from shares of the training votes on" in done.stderr
    page = page_of(tmp_path / "run" / "report.html")
    assert "--on VOTES" in page.text["missing"]
    assert "Missing baselines: shares of the training votes, length and format" in page.text["missing"]
    assert f"tiebreak report {tmp_path / 'run'} --baselines" in page.text["missing"]
    done = tiebreak("report", tmp_path / "run", "--bias")
    assert done.returncode == 1
    assert "--on VOTES" in done.stderr


def test_a_reward_model_and_a_baseline(small_rewards: TrainingResult, tmp_path: Path) -> None:
    """Neither has a position bias."""
    done = tiebreak("report", small_rewards.folder, "--no-baselines", "-o", tmp_path / "rewards.html")
    assert done.returncode == 0, done.stderr
    page = page_of(tmp_path / "rewards.html")
    assert "rewards" in page.text
    assert "gives the same probabilities in both orders by construction" in page.text["biases"]

    recipe = load_recipe(small_rewards.folder.recipe)
    files = f"data.train={recipe.data.train}", f"data.validation={recipe.data.validation}"
    baseline = train(load_recipe("baseline-length", [*files, f"output={tmp_path / 'length'}"]))
    done = tiebreak("report", baseline.folder, "--baselines")
    assert done.returncode == 0, done.stderr
    page = page_of(baseline.folder.path / "report.html")
    assert f"{baseline.metrics['loss']:.4f}" in page.text["headline"]
    assert "boosted trees" in page.text["headline"]
    assert "length and format" not in page.text["headline"]
    assert "curves" not in page.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "There is no run folder"),
        ("recipe.yaml", "is a file"),
        ("model", "is the model folder of a run"),
        ("damaged", "history.jsonl cannot be read"),
    ],
)
def test_a_wrong_path_is_explained(run: TrainingResult, tmp_path: Path, name: str, message: str) -> None:
    path = run.folder.path / name
    if name == "damaged":
        path = tmp_path / name
        shutil.copytree(run.folder.path, path)
        (path / "history.jsonl").write_text("[1, 2]\n")
    done = tiebreak("report", path)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
