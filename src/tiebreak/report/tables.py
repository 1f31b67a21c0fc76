"""The tables of a report, as rows for the page's template."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tiebreak.formatting import pluralize
from tiebreak.metrics import Estimate
from tiebreak.report.analysis import Analysis
from tiebreak.report.content import SIDES, Content
from tiebreak.report.run_metadata import RunMetadata
from tiebreak.training.vote_sources import describe_train
from tiebreak.workflows.evaluation_result import EvaluationResult
from tiebreak.workflows.predictions import RunPredictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TRUNCATED_ROWS: Final = 20
"""Truncated rows that are listed."""

PACKAGES: Final = ("tiebreak", "torch", "transformers", "peft", "bitsandbytes", "scikit-learn", "lightgbm")

Rows = list[tuple[str, str]]


class JudgeRow(NamedTuple):
    """A judge in the table of judges."""

    name: str
    loss: Estimate
    accuracy: Estimate | None
    gain: Estimate | None
    """None for the run itself."""


def judge_rows(title: str, analysis: Analysis) -> list[JudgeRow]:
    """The run first, then the others, the lowest log loss first."""
    metrics = analysis.result.metrics
    others = [JudgeRow(other.name, other.loss, other.accuracy, other.gain) for other in analysis.others]
    return [JudgeRow(title, metrics["loss"], metrics["accuracy"], None), *others]


def forest_plot(losses: Sequence[Estimate]) -> list[dict[str, float]]:
    """Positions of the dots and intervals of log losses, in per cent of a cell's width."""
    ends = [end for e in losses for end in (e.value, e.low, e.high) if isfinite(end)]
    low, width = min(ends), (max(ends) - min(ends)) or 1.0

    def position(value: float) -> float:
        return round(100 * (value - low) / width, 2)

    return [
        {"dot": position(e.value)}
        | ({"left": position(e.low), "width": position(e.high) - position(e.low)} if isfinite(e.low) else {})
        for e in losses
    ]


def settings(metadata: RunMetadata) -> Rows:
    """The most important settings of the recipe."""
    if metadata.members:
        return [("blend of", ", ".join(f"{m.run} ({m.weight:.3f})" for m in metadata.members))]
    recipe = metadata.recipe
    if recipe is None:
        return []
    data = recipe.data
    rows = [("trained on", describe_train(data.train, metadata.environment) if data.train else "")]
    rows.append(("validated on", data.validation.name if data.validation else "rows split off by prompt"))
    if recipe.baseline is not None:
        return [("baseline", recipe.baseline.kind), *rows]
    training, lora = recipe.training, recipe.lora
    length = (
        pluralize(training.max_steps, "step") if training.max_steps > 0 else f"{training.num_train_epochs:g} epochs"
    )
    return [
        ("model", recipe.model.name),
        ("head", recipe.model.head),
        ("precision", recipe.model.precision),
        ("adapter", f"rank {lora.r}, alpha {lora.lora_alpha}"),
        ("learning rate", f"{training.learning_rate:g}, {training.lr_scheduler_type}"),
        ("batch size", pluralize(training.batch_size, "comparison")),
        ("training length", length),
        ("maximum length", pluralize(recipe.text.max_length, "token")),
        *rows,
    ]


def environment(values: dict[str, Any]) -> Rows:
    """Hardware, versions and commit."""
    if not values:
        return []
    packages, git, gpus = values.get("packages") or {}, values.get("git") or {}, values.get("gpus") or []
    rows = {
        "GPUs": ", ".join(map(str, gpus)) if gpus else "none",
        "CPU cores": values.get("cpu_cores"),
        "platform": values.get("platform"),
        "Python": values.get("python"),
        "packages": ", ".join(f"{name} {packages[name]}" for name in PACKAGES if packages.get(name)),
        "seed": values.get("seed"),
        "commit": f"{git['commit'][:12]}{', with changes' if git.get('changed') else ''}" if "commit" in git else None,
    }
    return [(name, str(value)) for name, value in rows.items() if value not in (None, "")]


def cost(history: Sequence[dict[str, Any]]) -> Rows:
    """Time and memory, from the history."""

    def numbers(key: str) -> list[float]:
        return [float(line[key]) for line in history if isinstance(line.get(key), (int, float))]

    seconds, speeds, memory = numbers("train_runtime"), numbers("tokens_per_second"), numbers("peak_memory_gib")
    validations, steps = numbers("eval_runtime"), numbers("step")
    rows = []
    if seconds:
        rows.append(("training, with validations", format_seconds(seconds[-1])))
    if validations:
        rows.append((pluralize(len(validations), "validation"), format_seconds(sum(validations))))
    if steps:
        rows.append(("optimiser steps", f"{max(steps):,.0f}"))
    if speeds:
        rows.append(("tokens per second, median", f"{sorted(speeds)[len(speeds) // 2]:,.0f}"))
    if memory:
        rows.append(("peak memory of a GPU", f"{max(memory):.2f} GiB"))
    return rows


def format_seconds(seconds: float) -> str:
    """A duration in the largest unit that keeps two digits."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def biases(result: EvaluationResult) -> dict[str, Any]:
    """By the name of the chart above it: measures with intervals, or win rates of judge and people."""
    found: dict[str, Any] = {}
    if (position := result.position_bias) is not None:
        found["position"] = [
            ("winner comes first", position.first_slot_share),
            ("gain in P(win) from coming first", position.first_slot_gain),
            ("swap gap, mean |change of P(A)|", position.swap_gap),
            ("first answer wins in both orders", position.first_twice),
            ("second answer wins in both orders", position.second_twice),
        ]
        found["orders"] = [
            ("agreement of both orders", position.agreement),
            ("flip rate", position.flip_rate),
            ("log loss as given", position.loss["as_given"]),
            ("log loss swapped", position.loss["swapped"]),
            ("log loss of the mean of both", position.loss["average"]),
        ]
    length = result.length_bias
    if length is not None and length.longer.rows:
        longer, controlled = length.longer, length.controlled_win_rate
        found["length"] = [
            ("the longer answer", longer.rows, longer.judge, longer.people, longer.excess),
            ("A", None, length.win_rate["judge"], length.win_rate["people"], None),
            ("A, at equal lengths", None, controlled["judge"], controlled["people"], None),
        ]
    formats = [(f"more {k}", p.rows, p.judge, p.people, p.excess) for k, p in result.format_bias.items() if p.rows]
    if formats:
        found["format"] = formats
    return found


def rewards_by_vote(predictions: RunPredictions) -> dict[str, list[float]]:
    """Rewards of answers that people preferred, did not prefer, or voted a tie; without empty groups."""
    groups: dict[str, list[float]] = {"preferred": [], "not preferred": [], "tied": []}
    rewards = [] if predictions.rewards is None else predictions.rewards.tolist()
    for (a, b), vote in zip(rewards, predictions.votes, strict=False):
        outcome = max(range(3), key=vote.__getitem__)
        if outcome == 2:
            groups["tied"] += [a, b]
        else:
            groups["preferred"].append(b if outcome else a)
            groups["not preferred"].append(a if outcome else b)
    return {name: values for name, values in groups.items() if values}


def rewards(content: Content) -> list[tuple[str, float]]:
    """Mean reward of each group, and the reward scale in the run's metrics."""
    if content.predictions.rewards is None:
        return []
    means = [(f"mean, {name}", sum(of) / len(of)) for name, of in rewards_by_vote(content.predictions).items()]
    scale = {"mean of all": "reward_mean", "standard deviation": "reward_deviation", "tie parameter": "tie_parameter"}
    kept = [(name, content.metadata.metrics.get(key)) for name, key in scale.items()]
    return means + [(name, float(value)) for name, value in kept if isinstance(value, (int, float))]


def example(content: Content, row: int) -> dict[str, Any]:
    """A row with its probabilities, its vote, and its texts if they are known."""
    probabilities, vote = content.predictions.probabilities[row].tolist(), content.predictions.votes[row]
    texts: list[tuple[str, str]] = []
    if content.comparisons is not None:
        comparison = content.comparisons[row]
        turns = zip(comparison.prompt, comparison.answer_a, comparison.answer_b, strict=True)
        for number, turn in enumerate(turns, 1):
            suffix = f" {number}" if len(comparison.prompt) > 1 else ""
            texts += zip((f"Prompt{suffix}", f"A{suffix}", f"B{suffix}"), turn, strict=True)
    return {
        "id": content.predictions.ids[row],
        "probabilities": list(zip(SIDES, probabilities, strict=True)),
        "judged": SIDES[max(range(3), key=probabilities.__getitem__)],
        "confidence": max(probabilities),
        "tie": probabilities[2],
        "voted": SIDES[max(range(3), key=vote.__getitem__)],
        "texts": texts,
        "tokens_lost": sum(cut.tokens_lost for cut in content.truncated or () if cut.row == row),
    }


def truncation(content: Content) -> dict[str, Any] | None:
    """How many rows were truncated, the log loss on them and on the others, and which lost most."""
    if content.truncated is None:
        return None
    losses, truncated = content.predictions.losses, {cut.row for cut in content.truncated}
    is_truncated = np.isin(np.arange(len(losses)), list(truncated))
    most = sorted(content.truncated, key=lambda cut: -cut.tokens_lost)[:MAX_TRUNCATED_ROWS]
    return {
        "count": len(truncated),
        "rows": len(losses),
        "tokens": sum(cut.tokens_lost for cut in content.truncated),
        "turns": sum(cut.turns_dropped for cut in content.truncated),
        "loss_truncated": _mean_loss(content.predictions, is_truncated),
        "loss_complete": _mean_loss(content.predictions, ~is_truncated),
        "most": [(content.predictions.ids[cut.row], cut.tokens_lost, cut.turns_dropped) for cut in most],
    }


def _mean_loss(predictions: RunPredictions, chosen: NDArray[np.bool_]) -> float | None:
    """The mean log loss of the chosen rows; None if there are none that count."""
    weights = np.ones(len(chosen)) if predictions.weights is None else predictions.weights
    total = weights[chosen].sum()
    return float((weights * predictions.losses)[chosen].sum() / total) if total else None
