"""Texts as a policy's chat template rendered them -> messages.

A reward function that is handed rendered strings alone (OpenRLHF's `queries` and `prompts`) would otherwise score the
template's markers along with what was said. The format of a prompt is the one whose marker it begins with.
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
    """How a family of models writes a conversation."""

    separator: re.Pattern[str]
    """What stands in front of a message, with the end of the message before; its group is named after the role."""
    end: re.Pattern[str]
    """Where a reply ends."""
    lead: str = ""
    """What the template writes in front of a reply, and so does a policy that learnt from it."""
    preamble: re.Pattern[str] = _NEVER
    """What the template writes into the system message by itself."""


def _tagged(tag: str, closing: str, *, model: str = "assistant", added: str = "") -> re.Pattern[str]:
    """The separator of formats that write the role into a tag.

    Args:
        tag: an expression with `ROLE` where the role is.
        closing: an expression for the end of a message.
        model: what the assistant is called.
        added: what may follow the assistant's tag that is no part of the reply.
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
    # Llama 2, and Mistral, whose versions differ in their spaces. Mistral's system message is part of a user's but
    # for the newest.
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
    # DeepSeek V3 and R1, the distilled ones too. The system message follows the BOS token without a marker.
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
_LEADING: Final = re.compile(_START)
_NO_THOUGHTS: Final = re.compile(r"\A(?:<think>\n\n</think>\n\n|<\|channel>thought\n<channel\|>)")
"""What templates write in front of a reply that is to have no thoughts."""


def read_rendered(prompt: str, completion: str) -> tuple[tuple[Message, ...], str]:
    """The messages in a rendered prompt, and the plain text of the reply to them.

    Knows the formats of Gemma, ChatML (Qwen), Llama 2 and 3, Mistral and DeepSeek. In any other the whole prompt is
    one message of the user, without BOS tokens in front. Left out are the system messages that templates add by
    themselves (Qwen's "You are a helpful assistant.", Llama's dates), and the empty block of thoughts with which they
    begin a reply that is to have none.

    A user who wrote a format's markers, whole and in their order, cannot be told from the template: rendered, the two
    are the same text.

    Args:
        prompt: a conversation up to and with what opens the reply. The beginning of a reply that stands there is part
            of the reply.
        completion: what the policy wrote, special tokens and padding as they were decoded. It is cut at the first
            token that ends a turn in the prompt's format. Thoughts in it are left in.

    Returns:
        Role and content of each message (`system`, `user`, `assistant`, or `tool` for any other role), and the reply.
    """
    chat, messages, begun = _conversation(prompt)
    return messages, _reply(chat, begun + _without_padding(completion))


def parse_rendered_chat(text: str) -> tuple[tuple[Message, ...], str] | None:
    """The messages in a whole rendered conversation, and the plain text of the reply it ends in.

    Knows the formats of `read_rendered`. None for a text in no such format, or one that ends in another's message: what
    is prompt and what is reply cannot be told there.

    >>> read_rendered_chat("<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\nHello.<|im_end|>\\n")
    ((('user', 'Hi'),), 'Hello.')
    """
    chat, messages, rest = _conversation(text)
    return None if chat is _PLAIN else (messages, _NO_THOUGHTS.sub("", _reply(chat, rest)))


def _reply(chat: _Format, text: str) -> str:
    """What a reply says, of a text that begins with it."""
    if chat is _PLAIN:  # whose tokens are anyone's guess, but for those at the end
        text = _without_padding(text)
        ended = text.rstrip()
        return _without_trailing(ended, (*_END, *_PADDING)) if ended.endswith((*_END, *_PADDING)) else text
    return _without_padding(chat.end.split(text.removeprefix(chat.lead), maxsplit=1)[0])


def _without_padding(text: str) -> str:
    start = 0
    while token := next((one for one in _PADDING if text.startswith(one, start)), None):
        start += len(token)
    return _without_trailing(text[start:], _PADDING)


def _without_trailing(text: str, tokens: Sequence[str]) -> str:
    """Without a run of tokens at the end; an expression would take the square of its length where it is not the end."""
    end = len(text)
    while token := next((one for one in tokens if text.endswith(one, 0, end)), None):
        end -= len(token)
    return text[:end]


def _conversation(prompt: str) -> tuple[_Format, tuple[Message, ...], str]:
    """The format of a prompt, its messages, and what it has of the reply already."""
    for chat in _FORMATS:
        found = list(chat.separator.finditer(prompt)) if chat.separator.match(prompt) else []
        if len(found) > 1 and found[-1].lastgroup == "assistant":
            messages = [(str(one.lastgroup), prompt[one.end() : after.start()]) for one, after in pairwise(found)]
            said = ((role, chat.preamble.sub("", text) if role == "system" else text) for role, text in messages)
            return chat, tuple(message for message in said if message != ("system", "")), prompt[found[-1].end() :]
    return _PLAIN, (("user", _LEADING.sub("", prompt)),), ""
