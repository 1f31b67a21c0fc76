"""The charts of a report."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from tiebreak.metrics import Evaluation, LengthBias, PositionBias, Preference
from tiebreak.report import charts
from tiebreak.report.content import Content
from tiebreak.report.tables import rewards_by_vote
from tiebreak.runs import Orders

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_POINTS: Final = 600
"""Rows in a scatter plot; of more, every n-th is drawn."""


def all_charts(content: Content) -> dict[str, Any]:
    """The charts that there is data for, by name."""
    result = content.analysis.result
    found: dict[str, Any] = {
        "curves": _learning_curves(content.metadata.history),
        "calibration": _calibration_curves(result.evaluation),
        "length": None if result.length_bias is None else _length(result.length_bias),
        "format": _format(result.format_bias),
    }
    if content.orders is not None and result.position_bias is not None:
        found |= _orders(content.orders, result.position_bias)
    if content.predictions.rewards is not None:
        title = "Rewards of answers that people preferred, did not prefer, or voted a tie."
        groups = [*rewards_by_vote(content.predictions).items()]
        found["rewards"] = charts.histogram(groups, x="reward, nats", title=title)
    return {name: chart for name, chart in found.items() if chart}


def _learning_curves(history: Sequence[dict[str, Any]]) -> Markup | None:
    curves = [
        charts.Series(name, _points(history, key)) for name, key in (("training", "loss"), ("validation", "eval_loss"))
    ]
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return None
    last = ", ".join(f"{curve.name} ends at {curve.points[-1][1]:.4f}" for curve in curves)
    return charts.lines(curves, x="step", y="log loss", title=f"Log loss by step: {last}.")


def _points(history: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) of the lines that have both as finite numbers; the loss of a step that failed is not one."""
    both = [(line.get("step"), line.get(key)) for line in history]
    return [
        (step, value)
        for step, value in both
        if isinstance(step, (int, float)) and isinstance(value, (int, float)) and isfinite(value)
    ]


def _calibration_curves(evaluation: Evaluation) -> list[tuple[str, Markup]]:
    names = ("likeliest outcome", "A preferred", "B preferred", "tie")
    curves = [curve for curve in evaluation.curves if curve.binning == "equal-width"]
    return [
        (
            name,
            charts.calibration_curve(
                curve, title=f"Calibration curve, {name}: expected calibration error {curve.error:.4f}."
            ),
        )
        for name, curve in zip(names, curves, strict=True)
    ]


def _length(bias: LengthBias) -> Markup | None:
    if not bias.bins:
        return None
    series = [
        charts.Series(
            who,
            [(b.difference, getattr(b, who).value) for b in bias.bins],
            [(getattr(b, who).low, getattr(b, who).high) for b in bias.bins],
        )
        for who in ("judge", "people")
    ]
    title = "Win rate of the longer answer by relative difference in length, for the judge and for people."
    return charts.lines(series, x="relative difference in length", y="longer answer wins", title=title, level=0.5)


def _format(formats: dict[str, Preference]) -> Markup | None:
    rows = [(name, (p.judge, p.people)) for name, p in formats.items() if p.rows]
    if not rows:
        return None
    title = "Win rate of the answer with more of a format, for the judge and for people."
    return charts.win_rates(rows, ("judge", "people"), x="win rate of the answer with more", title=title)


def _orders(orders: Orders, bias: PositionBias) -> dict[str, Markup]:
    """The gain from coming first, as a histogram; and P(A) in both orders, as a scatter plot."""
    as_given, swapped = orders.as_given, orders.swapped
    gains = (as_given[:, 0] - swapped[:, 0] + swapped[:, 1] - as_given[:, 1]) / 2
    gain = bias.first_slot_gain.value
    span = max(float(abs(gains).max()), 0.01) * 1.05
    flips = as_given.argmax(axis=1) != swapped.argmax(axis=1)
    shown = range(0, len(as_given), -(-len(as_given) // MAX_POINTS))
    groups = [
        (name, [(as_given[i, 0], swapped[i, 0]) for i in shown if flips[i] == flipped])
        for name, flipped in (("same verdict in both orders", False), ("different verdict", True))
    ]
    return {
        "position": charts.histogram(
            [("rows", gains)],
            x="gain in P(win) from coming first",
            title=f"Gain in an answer's probability of winning from coming first, on average {gain:+.4f}.",
            bins=31,
            span=(-span, span),
            level=0.0,
        ),
        "orders": charts.scatter(
            groups,
            x="P(A preferred), A first",
            y="P(A preferred), B first",
            title=f"P(A preferred) in both orders; the verdict differs in {bias.flip_rate.value:.1%} of rows.",
        ),
    }
