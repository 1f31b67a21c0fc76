"""Charts as SVG, drawn by hand: their colours are the page's, by class, so they follow its dark and light.

Every chart has a description for those who do not see it; the same numbers stand in the page's tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tiebreak.metrics import CalibrationCurve, Estimate

WIDTH: Final = 440
"""Of half a page; a phone's is not much less, so that letters stay legible."""
HEIGHT: Final = 250
LEFT: Final = 54
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 44
ROW: Final = 40
WIDEST: Final = 1.25
"""How much larger than drawn a chart may be shown."""
SQUARE: Final = 250
"""Of a reliability diagram, which is as high as wide."""


@dataclass(frozen=True)
class Series:
    """A line with dots, and perhaps intervals."""

    name: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float]] = ()
    """[points], of the y; NaN where there is none."""


@dataclass(frozen=True)
class _Frame:
    """Where numbers come to lie in a picture of this size."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = LEFT
    bottom: float = BOTTOM

    def across(self, value: float) -> float:
        low, high = self.x
        return round(self.left + (value - low) / (high - low) * (self.width - self.left - RIGHT), 1)

    def down(self, value: float) -> float:
        low, high = self.y
        return round(self.height - self.bottom - (value - low) / (high - low) * (self.height - self.bottom - TOP), 1)


def lines(series: Sequence[Series], *, x: str, y: str, title: str, level: float | None = None) -> Markup:
    """Lines over one pair of axes; `level` is drawn across as a reference."""
    xs = [point[0] for one in series for point in one.points]
    ys = [point[1] for one in series for point in one.points]
    ys += [end for one in series for interval in one.intervals for end in interval if np.isfinite(end)]
    ys += [] if level is None else [level]
    frame = _Frame(WIDTH, HEIGHT, _range(xs), _range(ys))
    parts = _axes(frame, x, y)
    if level is not None:
        parts.append(_line("reference", LEFT, frame.down(level), WIDTH - RIGHT, frame.down(level)))
    for number, one in enumerate(series):
        aside = 5 * (number - (len(series) - 1) / 2) if one.intervals else 0.0  # so that intervals lie side by side
        parts.append(_curve(frame, one, f"s{number}", aside))
    return _svg(WIDTH, HEIGHT, title, parts) + _legend([one.name for one in series])


def reliability(curve: CalibrationCurve, *, title: str) -> Markup:
    """What came about against what was predicted; a dot's area is its bin's number of rows."""
    frame = _Frame(SQUARE, SQUARE, (0, 1), (0, 1), left=46)
    parts = _axes(frame, "predicted", "came about", ticks=(0, 0.25, 0.5, 0.75, 1))
    parts.append(_line("reference", frame.across(0), frame.down(0), frame.across(1), frame.down(1)))
    most = max(one.rows for one in curve.bins)
    for one in curve.bins:
        x = frame.across(one.predicted)
        if one.observed_low is not None and one.observed_high is not None:
            parts.append(_line("interval s0", x, frame.down(one.observed_low), x, frame.down(one.observed_high)))
    for one in curve.bins:
        tip = f"{one.rows:,} rows: predicted {one.predicted:.3f}, came about {one.observed:.3f}"
        parts.append(_dot(frame.across(one.predicted), frame.down(one.observed), 2 + 5 * (one.rows / most) ** 0.5, tip))
    return _svg(SQUARE, SQUARE, title, parts)


def rates(rows: Sequence[tuple[str, Sequence[Estimate]]], names: Sequence[str], *, x: str, title: str) -> Markup:
    """For each row a dot and an interval of each of `names`, one below the other, around an even chance."""
    ends = [end for _, row in rows for e in row for end in (e.value, e.low, e.high) if np.isfinite(end)]
    left, height = 92, TOP + ROW * len(rows) + BOTTOM
    low, high = _range([0.5, *ends])
    frame = _Frame(WIDTH, height, (low, high), (0, 1), left=left)
    parts = []
    for tick in _ticks(low, high):
        at = frame.across(tick)
        parts += [_line("grid", at, TOP, at, height - BOTTOM), _text(at, height - BOTTOM + 16, f"{tick:g}", "middle")]
    even = frame.across(0.5)
    parts.append(_line("reference", even, TOP, even, height - BOTTOM))
    for number, (name, row) in enumerate(rows):
        middle = TOP + ROW * (number + 0.5)
        parts.append(_text(left - 12, middle + 4, name, "end"))
        for place, (who, e) in enumerate(zip(names, row, strict=True)):
            y = middle + 11 * (place - (len(row) - 1) / 2)
            if np.isfinite(e.low):
                parts.append(_line(f"interval s{place}", frame.across(e.low), y, frame.across(e.high), y))
            parts.append(_dot(frame.across(e.value), y, 4.5, f"{name}, {who}: {e.value:.4f}", f"s{place}"))
    parts.append(_text((left + WIDTH - RIGHT) / 2, height - 8, x, "middle"))
    return _svg(WIDTH, height, title, parts) + _legend(names)


def scatter(groups: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, x: str, y: str, title: str) -> Markup:
    """Points of several groups, both numbers from 0 to 1; on the line they are equal."""
    side = 300
    frame = _Frame(side, side, (0, 1), (0, 1), left=46)
    parts = _axes(frame, x, y, ticks=(0, 0.25, 0.5, 0.75, 1))
    parts.append(_line("reference", frame.across(0), frame.down(0), frame.across(1), frame.down(1)))
    for number, (_, points) in enumerate(groups):
        spots = (
            Markup('<circle cx="{}" cy="{}" r="3"/>').format(frame.across(a), frame.down(b)) for a, b in points
        )  # fmt: skip
        parts.append(Markup('<g class="spots s{}">{}</g>').format(number, Markup("").join(spots)))
    return _svg(side, side, title, parts) + _legend([name for name, _ in groups])


def histogram(
    groups: Sequence[tuple[str, ArrayLike]], *, x: str, title: str, bins: int = 30,
    span: tuple[float, float] | None = None, level: float | None = None,
) -> Markup:  # fmt: skip
    """Several groups of numbers over the same bins, each as shares of its own; `level` is drawn upright.

    Args:
        groups: names and numbers.
        x: what the numbers are.
        title: what the picture says.
        bins: how many.
        span: from where to where; by default from the least to the greatest.
        level: a number to compare with.
    """
    values = [np.asarray(of, dtype=np.float64) for _, of in groups]
    everything = np.concatenate(values)
    edges = np.linspace(*(span or _range([float(everything.min()), float(everything.max())])), bins + 1)
    shares = [np.histogram(of, edges)[0] / max(len(of), 1) for of in values]
    frame = _Frame(
        WIDTH, HEIGHT, (float(edges[0]), float(edges[-1])), (0.0, max(float(s.max()) for s in shares) * 1.05)
    )
    parts = _axes(frame, x, "share")
    for number, share in enumerate(shares):
        corners = [(edges[0], 0.0)]
        for lower, upper, height in zip(edges[:-1], edges[1:], share.tolist(), strict=True):
            corners += [(lower, height), (upper, height)]
        corners.append((edges[-1], 0.0))
        path = " ".join(f"{frame.across(float(a))},{frame.down(b)}" for a, b in corners)
        parts.append(Markup('<polygon class="area s{}" points="{}"/>').format(number, path))
    if level is not None:
        at = frame.across(level)
        parts.append(_line("reference", at, TOP, at, HEIGHT - BOTTOM))
    return _svg(WIDTH, HEIGHT, title, parts) + _legend([name for name, _ in groups])


def _svg(width: float, height: float, title: str, parts: Sequence[Markup]) -> Markup:
    frame = Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" style="max-width:{}px"><title>{}</title>{}</svg>'
    )
    return frame.format(width, height, title, round(width * WIDEST), title, Markup("").join(parts))


def _legend(names: Sequence[str]) -> Markup:
    if len(names) < 2:
        return Markup("")
    keys = [Markup('<span class="key k{}">{}</span>').format(number, name) for number, name in enumerate(names)]
    return Markup('<p class="legend">{}</p>').format(Markup(" ").join(keys))


def _axes(frame: _Frame, x: str, y: str, ticks: Sequence[float] | None = None) -> list[Markup]:
    floor_, right = frame.height - frame.bottom, frame.width - RIGHT
    parts = []
    for tick in ticks or _ticks(*frame.y):
        at = frame.down(tick)
        parts += [_line("grid", frame.left, at, right, at), _text(frame.left - 6, at + 4, f"{tick:g}", "end")]
    for tick in ticks or _ticks(*frame.x):
        parts.append(_text(frame.across(tick), floor_ + 16, f"{tick:g}", "middle"))
    parts.append(_line("axis", frame.left, floor_, right, floor_))
    parts.append(_text((frame.left + right) / 2, frame.height - 8, x, "middle"))
    middle = (TOP + floor_) / 2
    turned = Markup('<text transform="rotate(-90 12 {})" x="12" y="{}" text-anchor="middle">{}</text>')
    parts.append(turned.format(middle, middle, y))
    return parts


def _curve(frame: _Frame, one: Series, kind: str, aside: float) -> Markup:
    at = [(frame.across(x) + aside, frame.down(y)) for x, y in one.points]
    parts = [
        _line(f"interval {kind}", x, frame.down(low), x, frame.down(high))
        for (x, _), (low, high) in zip(at, one.intervals, strict=False)
        if np.isfinite(low)
    ]
    path = " ".join(f"{x},{y}" for x, y in at)
    parts.append(Markup('<polyline class="line {}" points="{}"/>').format(kind, path))
    if len(at) <= 60:  # more would be a thick line
        parts += [
            _dot(*spot, 3, f"{one.name}: {y:.4f} at {x:g}", kind) for spot, (x, y) in zip(at, one.points, strict=True)
        ]
    return Markup("").join(parts)


def _dot(x: float, y: float, radius: float, tip: str, kind: str = "s0") -> Markup:
    circle = Markup('<circle class="dot {}" cx="{}" cy="{}" r="{:.1f}"><title>{}</title></circle>')
    return circle.format(kind, x, y, radius, tip)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, escape(text))


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the greatest, with some air; never of no width."""
    low, high = min(values), max(values)
    air = (high - low) * 0.05 or max(abs(high) * 0.05, 0.05)
    return (low if low == 0 else low - air), high + air


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between the two."""
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = int(np.ceil(low / step - 1e-9))
    return [round(i * step, 10) for i in range(first, int(np.floor(high / step + 1e-9)) + 1)]
