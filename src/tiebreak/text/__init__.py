"""Turn comparisons into token ids, and token ids into packs: the same input for training and judging."""

from tiebreak.text.encoder import Encoded, Encoder, TruncationReport
from tiebreak.text.packing import Pack, pack, packed_tokens
from tiebreak.text.template import REWARD_TEMPLATE, SEED_TEMPLATE, AnswerTemplate, Template, resolve_template

__all__ = [
    "REWARD_TEMPLATE",
    "SEED_TEMPLATE",
    "AnswerTemplate",
    "Encoded",
    "Encoder",
    "Pack",
    "Template",
    "TruncationReport",
    "pack",
    "packed_tokens",
    "resolve_template",
]
