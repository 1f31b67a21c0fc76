"""SVG elements: axes, lines, dots and texts, with colours that come from the page's style sheet by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Final

import numpy as np
from markupsafe import Markup, escape

WIDTH: Final = 440
"""About half a page, and about a phone's width, so that letters stay legible."""
HEIGHT: Final = 250
LEFT: Final = 54
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 44
MAX_SCALE: Final = 1.25
"""How much larger than drawn a chart may be shown."""


@dataclass(frozen=True)
class Frame:
    """The mapping from data coordinates to positions in a picture."""

    width: float
    height: float
    x: tuple[float, float]
    """Range of the data along the horizontal axis."""
    y: tuple[float, float]
    left: float = LEFT
    bottom: float = BOTTOM

    def to_x(self, value: float) -> float:
        """The horizontal position of a value."""
        low, high = self.x
        return round(self.left + (value - low) / (high - low) * (self.width - self.left - RIGHT), 1)

    def to_y(self, value: float) -> float:
        """The vertical position of a value."""
        low, high = self.y
        return round(self.height - self.bottom - (value - low) / (high - low) * (self.height - self.bottom - TOP), 1)


def picture(width: float, height: float, title: str, parts: Sequence[Markup]) -> Markup:
    """An `svg` element whose title is its description for screen readers."""
    element = Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" style="max-width:{}px"><title>{}</title>{}</svg>'
    )
    return element.format(width, height, title, round(width * MAX_SCALE), title, Markup("").join(parts))


def legend(names: Sequence[str]) -> Markup:
    """The colours of several series; nothing for a single one."""
    if len(names) < 2:
        return Markup("")
    keys = [Markup('<span class="key k{}">{}</span>').format(number, name) for number, name in enumerate(names)]
    return Markup('<p class="legend">{}</p>').format(Markup(" ").join(keys))


def axes(frame: Frame, x: str, y: str, tick_values: Sequence[float] | None = None) -> list[Markup]:
    """Grid, ticks and labels; with `tick_values` the same ticks on both axes."""
    baseline, right = frame.height - frame.bottom, frame.width - RIGHT
    parts = []
    for tick in tick_values or ticks(*frame.y):
        position = frame.to_y(tick)
        parts += [
            line("grid", frame.left, position, right, position),
            text(frame.left - 6, position + 4, f"{tick:g}", "end"),
        ]
    for tick in tick_values or ticks(*frame.x):
        parts.append(text(frame.to_x(tick), baseline + 16, f"{tick:g}", "middle"))
    parts.append(line("axis", frame.left, baseline, right, baseline))
    parts.append(text((frame.left + right) / 2, frame.height - 8, x, "middle"))
    middle = (TOP + baseline) / 2
    rotated = Markup('<text transform="rotate(-90 12 {})" x="12" y="{}" text-anchor="middle">{}</text>')
    parts.append(rotated.format(middle, middle, y))
    return parts


def dot(x: float, y: float, radius: float, tooltip: str, kind: str = "s0") -> Markup:
    """A circle; `kind` is the class of its series."""
    circle = Markup('<circle class="dot {}" cx="{}" cy="{}" r="{:.1f}"><title>{}</title></circle>')
    return circle.format(kind, x, y, radius, tooltip)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line; `kind` are its classes."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def text(x: float, y: float, content: str, anchor: str) -> Markup:
    """A text; `anchor` is `start`, `middle` or `end`."""
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, escape(content))


def padded_range(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the greatest with a margin, never of width 0; a minimum of 0 stays 0."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or max(abs(high) * 0.05, 0.05)
    return (low if low == 0 else low - margin), high + margin


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers between the two."""
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = int(np.ceil(low / step - 1e-9))
    return [round(i * step, 10) for i in range(first, int(np.floor(high / step + 1e-9)) + 1)]
