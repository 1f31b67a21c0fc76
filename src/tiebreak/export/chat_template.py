"""A judge's template as a tokenizer's chat template, which renders message lists into the same text.

    head        messages
    pointwise   [system], user, (assistant, user)*, assistant
    pairwise    [system], user, (assistant, user)*, response_a, response_b

The turns before the last form a dialogue in the prompt's slot; for a pairwise judge they are the history that both
answers share. A system message goes before the first user turn, separated by a blank line. A chat template neither
truncates nor escapes special tokens in texts: the encoder does both.

A pointwise judge with `text.template: chat` keeps the base model's chat template. For a pairwise one the messages above
are first rewritten to those of `tiebreak.text.ChatTemplate`, which the base's template then renders.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tiebreak.models import JudgeCard, card_encoder
from tiebreak.text import (
    SEED_TEMPLATE,
    AddedTokens,
    AnswerChatTemplate,
    AnswerTemplate,
    ChatTemplate,
    PairTemplate,
    SideTemplate,
    Template,
    resolve_template,
)
from tiebreak.text.template import ANSWER_SLOTS, SLOTS
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROLES: Final = {"{response}": "assistant", "{response_a}": "response_a", "{response_b}": "response_b"}
"""The message role whose content fills a slot."""

_READ: Final = """\
{%- set cleaned = namespace(messages=[]) -%}
{%- for message in messages -%}
  {%- set content = (message['content'] or '') | replace('\\r\\n', '\\n') | replace('\\r', '\\n') -%}
  {%- set cleaned.messages = cleaned.messages + [{'role': message['role'], 'content': content}] -%}
{%- endfor -%}
{%- set messages = cleaned.messages -%}
{%- set turns = messages[1:] if messages[0]['role'] == 'system' else messages -%}
{%- set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' -%}
{%- set answers = ANSWERS -%}
{%- set asked = turns[:-(answers | length)] -%}
{%- set given = turns[-(answers | length):] -%}
{%- if asked | length % 2 == 0 or given | map(attribute='role') | list != answers -%}
  {{- raise_exception('The roles must be USAGE.') -}}
{%- endif -%}
{%- for message in asked -%}
  {%- if message['role'] != ('assistant' if loop.index0 % 2 else 'user') -%}
    {{- raise_exception('The roles must be USAGE.') -}}
  {%- endif -%}
{%- endfor -%}
"""

_SAY_PROMPT: Final = """\
{%- for message in asked -%}
  {%- if asked | length > 1 -%}{{- 'Assistant: ' if loop.index0 % 2 else 'User: ' -}}{%- endif -%}
  {%- if loop.first and system -%}{{- system + '\\n\\n' -}}{%- endif -%}
  {{- message['content'] -}}
  {%- if not loop.last -%}{{- '\\n\\n' -}}{%- endif -%}
{%- endfor -%}
"""


_SYSTEM_INTO_FIRST: Final = """\
{%- if system -%}
  {%- set first = {'role': 'user', 'content': system + '\\n\\n' + asked[0]['content']} -%}
  {%- set asked = [first] + asked[1:] -%}
  {%- set system = '' -%}
{%- endif -%}
"""

_AS_CHAT: Final = """\
{%- set system_turn = [{'role': 'system', 'content': system}] if system else [] -%}
{%- set messages = system_turn + asked[:-1] + [{'role': 'user', 'content': comparison}] -%}
"""


def chat_template(template: Template | AnswerTemplate, added: tuple[str, str] = ("", "")) -> str:
    """Jinja source that renders messages into exactly the text of `template.render`, between the added tokens."""
    slots = ANSWER_SLOTS if isinstance(template, AnswerTemplate) else SLOTS
    before, after = added
    parts = [_read(_answer_roles(template)), *_pieces(before, {})]
    for piece in re.split("|".join(f"({re.escape(slot)})" for slot in slots), template.text):
        parts += _pieces(piece, {"{prompt}": _SAY_PROMPT} | _answers(template))
    return "".join([*parts, *_pieces(after, {})])


def comparison_chat_template(chat: ChatTemplate) -> str:
    """Jinja source that renders a comparison as `chat` does: it rewrites the messages for the base's own template."""
    parts = [_read(_answer_roles(SEED_TEMPLATE))]
    if not chat.format.has_system:
        parts.append(_SYSTEM_INTO_FIRST)
    parts.append("{%- set comparison -%}\n")
    for piece in re.split("|".join(f"({re.escape(slot)})" for slot in SLOTS), SEED_TEMPLATE.text):
        parts += _pieces(piece, {"{prompt}": "{{- asked[-1]['content'] -}}\n"} | _answers(SEED_TEMPLATE))
    return "".join([*parts, "{%- endset -%}\n", _AS_CHAT, chat.format.source])


def _read(answers: list[str]) -> str:
    usage = f"user, (assistant, user)*, {', '.join(answers)}, preceded by at most one system"
    return _READ.replace("ANSWERS", str(answers)).replace("USAGE", usage)


def _answers(template: Template | AnswerTemplate) -> dict[str, str]:
    """What fills the slots of the answers."""
    roles = _answer_roles(template)
    return {
        slot: f"{{{{- given[{roles.index(role)}]['content'] -}}}}\n" for slot, role in ROLES.items() if role in roles
    }


def _pieces(piece: str, slots: dict[str, str]) -> list[str]:
    return [slots.get(piece) or f"{{{{- {_literal(piece)} -}}}}\n"] if piece else []


def _answer_roles(template: PairTemplate | SideTemplate) -> list[str]:
    return ["response_a", "response_b"] if isinstance(template, PairTemplate) else ["assistant"]


def _literal(text: str) -> str:
    """A text as a Jinja string literal; braces and newlines are kept."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def install_chat_template(tokenizer: PreTrainedTokenizerFast, card: JudgeCard) -> bool:
    """Install the chat template of a run's judge if its tokens equal the judge's; returns whether they do.

    They differ where a tokenizer treats the start of a text differently from what follows a BOS that is spelled out
    (Llama 2 inserts a space there). Such a tokenizer gets no chat template.
    """
    template = resolve_template(card.template, card.head, tokenizer)
    row: Comparison | Conversation = (
        Conversation(("a", "a"), ("b", "b"))
        if card.head == "pointwise"
        else Comparison(("a", "a"), ("b", "b"), ("b", "c"))
    )
    [expected] = card_encoder(card, tokenizer).encode([row])
    if isinstance(template, ChatTemplate):
        tokenizer.chat_template = comparison_chat_template(template)
    elif isinstance(template, AnswerChatTemplate):
        tokenizer.chat_template = template.format.source
    else:
        added = card.added_tokens or AddedTokens.bos_only(tokenizer)
        tokenizer.chat_template = chat_template(template, added.text(tokenizer))
    roles = ["user", "assistant", "user", *_answer_roles(template)]
    messages = [{"role": role, "content": text} for role, text in zip(roles, "ababc", strict=False)]
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    if ids == expected.ids.tolist():
        return True
    tokenizer.chat_template = None
    return False
