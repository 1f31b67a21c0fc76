"""Comparisons -> token ids -> packs: what the model reads, decided here for training and judging alike."""

from tiebreak.text.encoder import CutReport, Encoded, Encoder
from tiebreak.text.packing import Pack, PackReport, pack, shared_tokens
from tiebreak.text.template import REWARD_TEMPLATE, SEED_TEMPLATE, AnswerTemplate, Template, template_of

__all__ = [
    "REWARD_TEMPLATE",
    "SEED_TEMPLATE",
    "AnswerTemplate",
    "CutReport",
    "Encoded",
    "Encoder",
    "Pack",
    "PackReport",
    "Template",
    "pack",
    "shared_tokens",
    "template_of",
]
