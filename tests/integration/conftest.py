"""Small files of votes, small runs, and the command line as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.forked import run_forked
from tiebreak import Judge, Recipe, load_recipe, train
from tiebreak.data import arithmetic_comparisons
from tiebreak.data.writer import write_comparisons
from tiebreak.training import TrainingResult
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

ANSWERS = (("good answer", "bad answer", A_WINS), ("bad", "good good", B_WINS), ("plain answer", "answer plain", TIE))


def small_votes(rows: int, *, first: int = 0) -> list[Comparison]:
    """Comparisons in the tiny tokenizer's words, each with a prompt of its own."""
    votes = []
    for i in range(first, first + rows):
        a, b, vote = ANSWERS[i % 3]
        votes.append(Comparison((f"question {i % 10} {i // 10 % 10} {i // 100} ?",), (a,), (b,), vote, id=f"row-{i}"))
    return votes


def paired_votes(rows: int, *, first: int = 0) -> list[Comparison]:
    """Each prompt stands twice, but for case and white space; what the answers are does not say the whole vote."""
    votes = []
    for i in range(first, first + rows):
        a, b, vote = ANSWERS[i % 3 if i % 5 else (i + 1) % 3]
        prompt = f"question {i // 2 % 10} {i // 20 % 10} {i // 200} ?"
        votes.append(
            Comparison((prompt if i % 2 else f" {prompt.title()}",), (a,), (b,), vote if i % 7 else TIE, id=f"row-{i}")
        )
    return votes


def probabilities(judge: Judge, comparisons: Any, **options: Any) -> np.ndarray:
    return np.array([(v.model_a, v.model_b, v.tie) for v in judge.compare_many(comparisons, **options)])


@pytest.fixture(scope="session")
def votes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of 90 votes to learn from and 30 to validate on."""
    folder = tmp_path_factory.mktemp("votes")
    write_comparisons(folder / "train.csv", small_votes(90))
    write_comparisons(folder / "validation.csv", small_votes(30, first=90))
    return folder / "train.csv", folder / "validation.csv"


def small_overrides(base: Path, votes: tuple[Path, Path], output: Path, *more: str) -> list[str]:
    return [
        f"model.name={base}", f"data.train={votes[0]}", f"data.validation={votes[1]}", f"output={output}",
        "training.max_steps=12", "training.batch_size=8", "training.logging_steps=2", "training.eval_steps=4",
        "training.save_steps=4", "training.warmup_steps=0", "training.learning_rate=1e-2", "training.report_to=[]",
        *more,
    ]  # fmt: skip


@pytest.fixture
def small_recipe(tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> Any:
    def make(*more: str, output: Path | None = None) -> Recipe:
        return load_recipe("demo", small_overrides(tiny_base, votes, output or tmp_path / "run", *more))

    return make


@pytest.fixture(scope="session")
def small_run(tiny_base: Path, votes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A finished run; not to be written to."""
    folder = tmp_path_factory.mktemp("run") / "small"
    return train(load_recipe("demo", small_overrides(tiny_base, votes, folder)))


@pytest.fixture(scope="session")
def small_rewards(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> TrainingResult:
    """A finished pointwise run on the tiny model; not to be written to."""
    folder = tmp_path_factory.mktemp("run") / "small-rewards"
    return train(load_recipe("demo", small_overrides(tiny_base, votes, folder, "model.head=pointwise")))


@pytest.fixture(scope="session")
def pointwise_run(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A reward model of sums, the demo's in a third of its steps: it tells right from wrong. Not to be written to."""
    folder = tmp_path_factory.mktemp("run")
    write_comparisons(folder / "train.csv", arithmetic_comparisons(1280, seed=0, split="train"))
    write_comparisons(folder / "validation.csv", arithmetic_comparisons(100, seed=0, split="validation"))
    settings = [
        f"data.train={folder / 'train.csv'}", f"data.validation={folder / 'validation.csv'}",
        f"output={folder / 'pointwise'}", "model.head=pointwise", "training.max_steps=40", "training.eval_steps=40",
        "training.save_steps=40", "training.report_to=[]",
    ]  # fmt: skip
    result = train(load_recipe("demo", settings))
    assert result.metrics["accuracy"] > 0.95
    return result


def tiebreak(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    given, environment = list(map(str, arguments)), os.environ | environment
    if not any(name.startswith("HF_") for name in environment):
        return run_forked(given, cwd, environment, timeout=120)
    return subprocess.run(  # the hub's library looks at these when it is imported
        [sys.executable, "-m", "tiebreak", *given], capture_output=True, text=True, cwd=cwd, env=environment,
        stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
