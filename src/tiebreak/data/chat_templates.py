"""Parse text that a chat template rendered back into messages.

A reward function that receives only rendered strings (OpenRLHF's `queries` and `prompts`) would otherwise score the
markers of the template together with the conversation. The format of a prompt is the one whose marker it begins with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tiebreak.data.messages import Message

_BOS: Final = ("<bos>", "<s>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")
_PADDING: Final = ("<pad>", "[PAD]", "<unk>", "<|endoftext|>", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>")
_END: Final = (
    "<end_of_turn>", "<turn|>", "<eos>",
    "<|im_end|>",
    "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>",
    "</s>",
    "<｜end▁of▁sentence｜>",
)  # fmt: skip


def _any_of(*tokens: str) -> str:
    return f"(?:{'|'.join(map(re.escape, tokens))})"


_START: Final = rf"\A{_any_of(*_BOS, *_PADDING)}*"
_NEVER: Final = re.compile("(?!)")


@dataclass(frozen=True, slots=True)
class _Format:
    """The chat format of a family of models."""

    separator: re.Pattern[str]
    """Matches the end of the previous message and the start of the next; the matching group is named after its role."""
    end: re.Pattern[str]
    """Matches the end of a reply."""
    lead: str = ""
    """Text that the template, and a policy trained with it, writes before a reply."""
    preamble: re.Pattern[str] = _NEVER
    """Text that the template adds to the system message."""


def _tagged(tag: str, closing: str, *, model: str = "assistant", added: str = "") -> re.Pattern[str]:
    """The separator of a format that writes the role into a tag.

    Args:
        tag: an expression for the tag, with `ROLE` for the role.
        closing: an expression for the end of a message.
        model: the name of the assistant's role.
        added: an expression for text that may follow the assistant's tag and is not part of the reply.
    """
    before, after = tag.split("ROLE")
    roles = r"(?P<user>user)|(?P<system>system|developer)|(?P<tool>\w+)"
    return re.compile(
        rf"(?:{_START}|{closing}){before}(?:(?P<assistant>{model}){after}(?:{added})?|(?:{roles}){after})"
    )


_FORMATS: Final = (
    # Gemma 1 to 3. A system message is part of the first user's.
    _Format(
        _tagged(r"<start_of_turn>ROLE\n", r"<end_of_turn>\n?", model="model"),
        end=re.compile(_any_of("<end_of_turn>", "<eos>")),
    ),
    # Gemma 4
    _Format(
        _tagged(r"<\|turn>ROLE\n", r"<turn\|>\n?", model="model", added=r"<\|channel>thought\n<channel\|>\Z"),
        end=re.compile(_any_of("<turn|>", "<eos>")),
        preamble=re.compile(r"\A<\|think\|>\n?"),
    ),
    # ChatML: Qwen and many others
    _Format(
        _tagged(r"<\|im_start\|>ROLE\n", r"<\|im_end\|>\n?", added=r"<think>\n\n</think>\n\n\Z"),
        end=re.compile(_any_of("<|im_end|>", "<|endoftext|>")),
        preamble=re.compile(r"\A(?:You are Qwen, created by Alibaba Cloud\. )?You are a helpful assistant\.?\Z"),
    ),
    # Llama 3
    _Format(
        _tagged(r"<\|start_header_id\|>ROLE<\|end_header_id\|>\n\n", r"(?:<\|eot_id\|>|<\|eom_id\|>)"),
        end=re.compile(_any_of("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>")),
        preamble=re.compile(r"\ACutting Knowledge Date: .*\nToday Date: .*\n\n"),
    ),
    # Llama 2, and Mistral, whose versions differ in their spaces. Except in the newest versions,
    # Mistral's system message is part of the first user's.
    _Format(
        re.compile(
            rf"(?P<system>{_START} ?(?:\[INST\] <<SYS>>\n|\[SYSTEM_PROMPT\]))"
            r"|(?P<user>\n<</SYS>>(?:\n\n)?"
            rf"|(?:{_START}|\[/SYSTEM_PROMPT\]| ?</s>(?:<s>)?) ?\[INST\] ?)"
            r"|(?P<assistant> ?\[/INST\] ?)"
        ),
        end=re.compile(" ?</s>"),
        lead=" ",
    ),
    # DeepSeek V3 and R1, including the distilled models. The system message follows the BOS token without a marker.
    _Format(
        re.compile(
            rf"(?P<system>{_START}(?<=<｜begin▁of▁sentence｜>))"
            rf"|(?P<user>(?:{_START}|<｜end▁of▁sentence｜>)?<｜User｜>)"
            r"|(?P<assistant><｜Assistant｜>(?:</think>)?)"
        ),
        end=re.compile("<｜end▁of▁sentence｜>"),
    ),
)
_PLAIN: Final = _Format(_NEVER, end=_NEVER)
_LEADING_BOS: Final = re.compile(_START)
_EMPTY_THOUGHTS: Final = re.compile(r"\A(?:<think>\n\n</think>\n\n|<\|channel>thought\n<channel\|>)")
"""The empty block that templates write before a reply without thoughts."""


def parse_rendered_completion(prompt: str, completion: str) -> tuple[tuple[Message, ...], str]:
    """The messages in a rendered prompt, and the plain text of the reply to them.

    Supports the formats of Gemma, ChatML (Qwen), Llama 2 and 3, Mistral and DeepSeek. In any other format the whole
    prompt is one user message, without leading BOS tokens. Text that templates add is removed: default system messages
    (Qwen's "You are a helpful assistant.", Llama's dates), and the empty block of thoughts before a reply without
    thoughts.

    A user message that contains the markers of a format, complete and in order, cannot be distinguished from the
    template: both render to the same text.

    Args:
        prompt: a conversation up to and including the marker that opens the reply. Text after that marker is the
            beginning of the reply.
        completion: text of the policy, with special tokens and padding as decoded. It is cut at the first token that
            ends a turn in the format of the prompt. Thoughts are kept.

    Returns:
        Role and content of each message (`system`, `user`, `assistant`, or `tool` for any other role), and the reply.
    """
    chat_format, messages, reply_start = _split_messages(prompt)
    return messages, _reply(chat_format, reply_start + _without_padding(completion))


def parse_rendered_chat(text: str) -> tuple[tuple[Message, ...], str] | None:
    """The messages in a whole rendered conversation, and the plain text of its last reply.

    Supports the formats of `parse_rendered_completion`. None if the text is in none of them, or does not end in a
    message of the assistant.

    >>> parse_rendered_chat("<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\nHello.<|im_end|>\\n")
    ((('user', 'Hi'),), 'Hello.')
    """
    chat_format, messages, reply = _split_messages(text)
    return None if chat_format is _PLAIN else (messages, _EMPTY_THOUGHTS.sub("", _reply(chat_format, reply)))


def _reply(chat_format: _Format, text: str) -> str:
    """The plain text of a reply, given text that begins with it."""
    if chat_format is _PLAIN:  # the tokens are unknown, so only those at the end are removed
        text = _without_padding(text)
        stripped = text.rstrip()
        return _without_trailing(stripped, (*_END, *_PADDING)) if stripped.endswith((*_END, *_PADDING)) else text
    return _without_padding(chat_format.end.split(text.removeprefix(chat_format.lead), maxsplit=1)[0])


def _without_padding(text: str) -> str:
    start = 0
    while token := next((token for token in _PADDING if text.startswith(token, start)), None):
        start += len(token)
    return _without_trailing(text[start:], _PADDING)


def _without_trailing(text: str, tokens: Sequence[str]) -> str:
    """The text without a run of tokens at its end.

    A regular expression would need quadratic time for a long run of tokens that is not at the end.
    """
    end = len(text)
    while token := next((token for token in tokens if text.endswith(token, 0, end)), None):
        end -= len(token)
    return text[:end]


def _split_messages(prompt: str) -> tuple[_Format, tuple[Message, ...], str]:
    """The format of a prompt, its messages, and the beginning of the reply that it contains."""
    for chat_format in _FORMATS:
        matches = list(chat_format.separator.finditer(prompt)) if chat_format.separator.match(prompt) else []
        if len(matches) > 1 and matches[-1].lastgroup == "assistant":
            messages: list[Message] = []
            for match, following in pairwise(matches):
                role, content = str(match.lastgroup), prompt[match.end() : following.start()]
                messages.append((role, chat_format.preamble.sub("", content) if role == "system" else content))
            return chat_format, tuple(m for m in messages if m != ("system", "")), prompt[matches[-1].end() :]
    return _PLAIN, (("user", _LEADING_BOS.sub("", prompt)),), ""
