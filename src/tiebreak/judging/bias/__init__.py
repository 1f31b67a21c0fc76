"""What sways a judge though it should not: which answer comes first, which is longer, which is more formatted."""

from tiebreak.judging.bias.format import format_bias, format_counts
from tiebreak.judging.bias.length import LengthBias, LengthBin, answer_lengths, length_bias
from tiebreak.judging.bias.position import PositionBias, position_bias
from tiebreak.judging.bias.preference import Preference

__all__ = [
    "LengthBias",
    "LengthBin",
    "PositionBias",
    "Preference",
    "answer_lengths",
    "format_bias",
    "format_counts",
    "length_bias",
    "position_bias",
]
