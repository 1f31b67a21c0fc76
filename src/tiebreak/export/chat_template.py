"""A judge's template as a tokenizer's chat template, which renders message lists into the same text.

    head        messages
    pointwise   [system], user, (assistant, user)*, assistant
    pairwise    [system], user, (assistant, user)*, response_a, response_b

The turns before the last form a dialogue in the prompt's slot; for a pairwise judge they are the history that both
answers share. A system message goes before the first user turn, separated by a blank line. A chat template neither
truncates nor escapes special tokens in texts: the encoder does both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from tiebreak.text import AnswerTemplate, Encoder, Template
from tiebreak.text.template import ANSWER_SLOTS, SLOTS
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROLES: Final = {"{response}": "assistant", "{response_a}": "response_a", "{response_b}": "response_b"}
"""The message role whose content fills a slot."""

_PARSE_MESSAGES: Final = """\
{%- set turns = messages[1:] if messages[0]['role'] == 'system' else messages -%}
{%- set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' -%}
{%- set answer_roles = ANSWER_ROLES -%}
{%- set prompt_turns = turns[:-(answer_roles | length)] -%}
{%- set answers = turns[-(answer_roles | length):] -%}
{%- if prompt_turns | length % 2 == 0 or answers | map(attribute='role') | list != answer_roles -%}
  {{- raise_exception('The roles must be USAGE.') -}}
{%- endif -%}
{%- for message in prompt_turns -%}
  {%- if message['role'] != ('assistant' if loop.index0 % 2 else 'user') -%}
    {{- raise_exception('The roles must be USAGE.') -}}
  {%- endif -%}
{%- endfor -%}
"""

_RENDER_PROMPT: Final = """\
{%- for message in prompt_turns -%}
  {%- if prompt_turns | length > 1 -%}{{- 'Assistant: ' if loop.index0 % 2 else 'User: ' -}}{%- endif -%}
  {%- if loop.first and system -%}{{- system + '\\n\\n' -}}{%- endif -%}
  {{- message['content'] or '' -}}
  {%- if not loop.last -%}{{- '\\n\\n' -}}{%- endif -%}
{%- endfor -%}
"""


def chat_template(template: Template | AnswerTemplate, *, leads_with_bos: bool) -> str:
    """Jinja source that renders messages into exactly the text of `template.render`, after a BOS token if required."""
    slots = ANSWER_SLOTS if isinstance(template, AnswerTemplate) else SLOTS
    answer_roles = _answer_roles(template)
    usage = f"user, (assistant, user)*, {', '.join(answer_roles)}, preceded by at most one system"
    parts = [_PARSE_MESSAGES.replace("ANSWER_ROLES", str(answer_roles)).replace("USAGE", usage)]
    if leads_with_bos:
        parts.append("{{- bos_token -}}\n")
    for piece in re.split("|".join(f"({re.escape(slot)})" for slot in slots), template.text):
        if piece == "{prompt}":
            parts.append(_RENDER_PROMPT)
        elif piece in slots:
            parts.append(f"{{{{- answers[{answer_roles.index(ROLES[piece])}]['content'] or '' -}}}}\n")
        elif piece:
            parts.append(f"{{{{- {_literal(piece)} -}}}}\n")
    return "".join(parts)


def _answer_roles(template: Template | AnswerTemplate) -> list[str]:
    return ["assistant"] if isinstance(template, AnswerTemplate) else ["response_a", "response_b"]


def encoder_of(
    tokenizer: PreTrainedTokenizerFast, template: Template | AnswerTemplate, max_length: int
) -> Encoder[Any]:
    """The judge's encoder, for either kind of template."""
    return Encoder(tokenizer, cast(Any, template), max_length)


def _literal(text: str) -> str:
    """A text as a Jinja string literal; braces and newlines are kept."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def leads_with_bos(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the tokenizer starts plain texts with a BOS token, as the encoder then does."""
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("a")["input_ids"][:1] == [bos]


def install_chat_template(
    tokenizer: PreTrainedTokenizerFast, template: Template | AnswerTemplate, max_length: int
) -> bool:
    """Install the chat template if its tokens equal the judge's; returns whether they do.

    They differ where a tokenizer treats the start of a text differently from what follows a BOS that is spelled out
    (Llama 2 inserts a space there). Such a tokenizer gets no chat template.
    """
    tokenizer.chat_template = chat_template(template, leads_with_bos=leads_with_bos(tokenizer))
    contents = {"user": "a"} | dict.fromkeys(_answer_roles(template), "b")
    row: Comparison | Conversation = (
        Conversation(("a",), ("b",)) if isinstance(template, AnswerTemplate) else Comparison(("a",), ("b",), ("b",))
    )
    [expected] = encoder_of(tokenizer, template, max_length).encode([row])
    messages = [{"role": role, "content": text} for role, text in contents.items()]
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    if ids == expected.ids.tolist():
        return True
    tokenizer.chat_template = None
    return False
