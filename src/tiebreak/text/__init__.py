"""Turn comparisons into token ids, and token ids into packs: the same input for training and judging."""

from tiebreak.text.added_tokens import AddedTokens, set_added_tokens
from tiebreak.text.chat_template import CHAT, AnswerChatTemplate, ChatTemplate
from tiebreak.text.encoder import Encoded, Encoder, TruncationReport
from tiebreak.text.packing import Pack, pack, packed_tokens
from tiebreak.text.resolution import PairTemplate, SideTemplate, resolve_template
from tiebreak.text.template import REWARD_TEMPLATE, SEED_TEMPLATE, AnswerTemplate, Template
from tiebreak.text.vocabulary import check_vocabulary

__all__ = [
    "CHAT",
    "REWARD_TEMPLATE",
    "SEED_TEMPLATE",
    "AddedTokens",
    "AnswerChatTemplate",
    "AnswerTemplate",
    "ChatTemplate",
    "Encoded",
    "Encoder",
    "Pack",
    "PairTemplate",
    "SideTemplate",
    "Template",
    "TruncationReport",
    "check_vocabulary",
    "pack",
    "packed_tokens",
    "resolve_template",
    "set_added_tokens",
]
