"""Biases of a judge: preference for the first, the longer or the more formatted answer."""

from tiebreak.metrics.bias.format import format_bias, format_counts
from tiebreak.metrics.bias.length import LengthBias, answer_lengths, length_bias
from tiebreak.metrics.bias.position import PositionBias, position_bias
from tiebreak.metrics.bias.preference import Preference

__all__ = [
    "LengthBias",
    "PositionBias",
    "Preference",
    "answer_lengths",
    "format_bias",
    "format_counts",
    "length_bias",
    "position_bias",
]
