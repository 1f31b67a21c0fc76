"""Charts as SVG. Every chart has a description for screen readers; the page's tables hold the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from tiebreak.report import svg

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tiebreak.metrics import CalibrationCurve, Estimate

ROW_HEIGHT: Final = 40
SQUARE: Final = 250
"""Width and height of a calibration curve."""
UNIT_TICKS: Final = (0, 0.25, 0.5, 0.75, 1)
MAX_DOTS: Final = 60
"""A line of more points is drawn without dots."""


@dataclass(frozen=True)
class Series:
    """A line with dots and optional intervals."""

    name: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float]] = ()
    """[points], of the y values; NaN where there is none."""


def lines(series: Sequence[Series], *, x: str, y: str, title: str, level: float | None = None) -> Markup:
    """Lines over one pair of axes; `level` is drawn across as a reference."""
    xs = [point[0] for one in series for point in one.points]
    ys = [point[1] for one in series for point in one.points]
    ys += [end for one in series for interval in one.intervals for end in interval if np.isfinite(end)]
    ys += [] if level is None else [level]
    frame = svg.Frame(svg.WIDTH, svg.HEIGHT, svg.padded_range(xs), svg.padded_range(ys))
    parts = svg.axes(frame, x, y)
    if level is not None:
        height = frame.to_y(level)
        parts.append(svg.line("reference", svg.LEFT, height, svg.WIDTH - svg.RIGHT, height))
    for number, one in enumerate(series):
        shift = 5 * (number - (len(series) - 1) / 2) if one.intervals else 0.0  # so that intervals do not overlap
        parts.append(_line_with_dots(frame, one, f"s{number}", shift))
    return svg.picture(svg.WIDTH, svg.HEIGHT, title, parts) + svg.legend([one.name for one in series])


def calibration_curve(curve: CalibrationCurve, *, title: str) -> Markup:
    """Observed frequency against predicted probability; a dot's area is its bin's number of rows, or their weight."""
    frame = svg.Frame(SQUARE, SQUARE, (0, 1), (0, 1))
    parts = svg.axes(frame, "predicted probability", "observed frequency", UNIT_TICKS)
    parts.append(_diagonal(frame))
    most = max(one.mass for one in curve.bins)
    for one in curve.bins:
        x = frame.to_x(one.predicted)
        if one.observed_low is not None and one.observed_high is not None:
            parts.append(svg.line("interval s0", x, frame.to_y(one.observed_low), x, frame.to_y(one.observed_high)))
    for one in curve.bins:
        tooltip = f"{one.rows:,} rows: predicted {one.predicted:.3f}, observed {one.observed:.3f}"
        radius = 2 + 5 * (one.mass / most) ** 0.5
        parts.append(svg.dot(frame.to_x(one.predicted), frame.to_y(one.observed), radius, tooltip))
    return svg.picture(SQUARE, SQUARE, title, parts)


def win_rates(rows: Sequence[tuple[str, Sequence[Estimate]]], names: Sequence[str], *, x: str, title: str) -> Markup:
    """For each row a dot and an interval of each of `names`, one below the other, around a rate of 0.5."""
    ends = [end for _, row in rows for e in row for end in (e.value, e.low, e.high) if np.isfinite(end)]
    left, height = 92, svg.TOP + ROW_HEIGHT * len(rows) + svg.BOTTOM
    low, high = svg.padded_range([0.5, *ends])
    frame = svg.Frame(svg.WIDTH, height, (low, high), (0, 1), left=left)
    bottom = height - svg.BOTTOM
    parts = []
    for tick in svg.ticks(low, high):
        position = frame.to_x(tick)
        parts += [
            svg.line("grid", position, svg.TOP, position, bottom),
            svg.text(position, bottom + 16, f"{tick:g}", "middle"),
        ]
    parts.append(svg.line("reference", frame.to_x(0.5), svg.TOP, frame.to_x(0.5), bottom))
    for number, (name, row) in enumerate(rows):
        middle = svg.TOP + ROW_HEIGHT * (number + 0.5)
        parts.append(svg.text(left - 12, middle + 4, name, "end"))
        for index, (who, e) in enumerate(zip(names, row, strict=True)):
            y = middle + 11 * (index - (len(row) - 1) / 2)
            if np.isfinite(e.low):
                parts.append(svg.line(f"interval s{index}", frame.to_x(e.low), y, frame.to_x(e.high), y))
            parts.append(svg.dot(frame.to_x(e.value), y, 4.5, f"{name}, {who}: {e.value:.4f}", f"s{index}"))
    parts.append(svg.text((left + svg.WIDTH - svg.RIGHT) / 2, height - 8, x, "middle"))
    return svg.picture(svg.WIDTH, height, title, parts) + svg.legend(names)


def scatter(groups: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, x: str, y: str, title: str) -> Markup:
    """Points of several groups, both coordinates from 0 to 1, with the line where they are equal."""
    side = 300
    frame = svg.Frame(side, side, (0, 1), (0, 1))
    parts = [*svg.axes(frame, x, y, UNIT_TICKS), _diagonal(frame)]
    for number, (_, points) in enumerate(groups):
        circles = [
            Markup('<circle cx="{}" cy="{}" r="3"/>').format(frame.to_x(one), frame.to_y(two)) for one, two in points
        ]
        parts.append(Markup('<g class="spots s{}">{}</g>').format(number, Markup("").join(circles)))
    return svg.picture(side, side, title, parts) + svg.legend([name for name, _ in groups])


def histogram(
    groups: Sequence[tuple[str, ArrayLike]],
    *,
    x: str,
    title: str,
    bins: int = 30,
    span: tuple[float, float] | None = None,
    level: float | None = None,
) -> Markup:
    """Histograms of several groups over the same bins, each normalised to its own number of values.

    Args:
        groups: names and values.
        x: label of the horizontal axis.
        title: description of the chart.
        bins: how many.
        span: range of the bins; by default that of the values.
        level: a value to mark with a vertical line.
    """
    values = [np.asarray(group, dtype=np.float64) for _, group in groups]
    pooled = np.concatenate(values)
    edges = np.linspace(*(span or svg.padded_range([float(pooled.min()), float(pooled.max())])), bins + 1)
    shares = [np.histogram(group, edges)[0] / max(len(group), 1) for group in values]
    highest = max(float(share.max()) for share in shares) * 1.05
    frame = svg.Frame(svg.WIDTH, svg.HEIGHT, (float(edges[0]), float(edges[-1])), (0.0, highest))
    parts = svg.axes(frame, x, "share")
    for number, share in enumerate(shares):
        corners = [(edges[0], 0.0)]
        for lower, upper, height in zip(edges[:-1], edges[1:], share.tolist(), strict=True):
            corners += [(lower, height), (upper, height)]
        corners.append((edges[-1], 0.0))
        path = " ".join(f"{frame.to_x(float(corner_x))},{frame.to_y(corner_y)}" for corner_x, corner_y in corners)
        parts.append(Markup('<polygon class="area s{}" points="{}"/>').format(number, path))
    if level is not None:
        position = frame.to_x(level)
        parts.append(svg.line("reference", position, svg.TOP, position, svg.HEIGHT - svg.BOTTOM))
    return svg.picture(svg.WIDTH, svg.HEIGHT, title, parts) + svg.legend([name for name, _ in groups])


def _diagonal(frame: svg.Frame) -> Markup:
    return svg.line("reference", frame.to_x(0), frame.to_y(0), frame.to_x(1), frame.to_y(1))


def _line_with_dots(frame: svg.Frame, series: Series, kind: str, shift: float) -> Markup:
    positions = [(frame.to_x(x) + shift, frame.to_y(y)) for x, y in series.points]
    parts = [
        svg.line(f"interval {kind}", x, frame.to_y(low), x, frame.to_y(high))
        for (x, _), (low, high) in zip(positions, series.intervals, strict=False)
        if np.isfinite(low)
    ]
    path = " ".join(f"{x},{y}" for x, y in positions)
    parts.append(Markup('<polyline class="line {}" points="{}"/>').format(kind, path))
    if len(positions) <= MAX_DOTS:
        parts += [
            svg.dot(*position, 3, f"{series.name}: {y:.4f} at {x:g}", kind)
            for position, (x, y) in zip(positions, series.points, strict=True)
        ]
    return Markup("").join(parts)
