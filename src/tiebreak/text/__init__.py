"""Comparisons -> token ids -> packs: what the model reads, decided here for training and judging alike."""

from tiebreak.text.encode import CutReport, Encoded, Encoder
from tiebreak.text.pack import Pack, PackReport, pack
from tiebreak.text.template import SEED_TEMPLATE, Template, template_of

__all__ = ["SEED_TEMPLATE", "CutReport", "Encoded", "Encoder", "Pack", "PackReport", "Template", "pack", "template_of"]
