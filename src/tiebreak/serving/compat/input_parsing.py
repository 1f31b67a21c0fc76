"""What a client's text, messages or token ids stand for: decided here, whatever the dialect.

1. A text in the judge's own template, any number of BOS in front: the prompt and the answers in it. Code that fed an
   exported folder goes on as it is; only what is too long is cut evenly, as in training, and keeps the template whole.
2. A chat as the template of Gemma, ChatML (Qwen), Llama 2 or 3, Mistral or DeepSeek renders it, that ends in the
   assistant's reply: the prompt and the reply, put into the judge's own template. For judges that score one answer.
3. Any other text is refused: markers of an unknown format would be judged as if someone had said them.

Messages are the same conversation before it was rendered; for a judge of pairs they end in the roles `response_a` and
`response_b`, as in the chat template of an export. Token ids are the judge's own tokens, whole and in its template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tiebreak.data import UnreadableError, parse_rendered_chat, short_repr
from tiebreak.data.messages import Message, parse_side
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.text.template import ANSWER_SLOTS, SLOTS
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService

Truncatable = Conversation | Comparison
ANSWER_ROLES = ("response_a", "response_b")
"""Whose messages come last for a judge of pairs."""


def parse_text(judge: JudgeService, text: str) -> Truncatable:
    """The prompt and the answers in a text that was rendered.

    Raises:
        InvalidRequestError: it is in no form that is understood, or holds one answer for a judge of pairs.
    """
    said = _in_own_template(judge, text)
    if said is None:
        said = _in_chat(judge, text)
        _require_rewards(judge)
    return said


def parse_answer_text(judge: JudgeService, text: str) -> Conversation:
    """The prompt and the one answer in a text that was rendered, for what gives rewards.

    Raises:
        InvalidRequestError: it is in no form that is understood, or holds two answers.
    """
    said = _in_own_template(judge, text)
    if isinstance(said, Comparison):
        raise InvalidRequestError(
            "A text holds two answers, in the judge's own template, and a reward is asked for: send chats that end in "
            "one reply, several to the same prompt."
        )
    return said or _in_chat(judge, text)


def parse_messages_input(judge: JudgeService, messages: Sequence[Message]) -> Truncatable:
    """The prompt and the answers in the messages of a conversation.

    Raises:
        InvalidRequestError: they are not in turn, or do not end as the judge needs them.
    """
    if tuple(role for role, _ in messages[-2:]) != ANSWER_ROLES:
        _require_rewards(judge)
        return parse_reply("messages", messages[:-1], messages[-1][1], role=messages[-1][0])
    if judge.gives_rewards:
        raise InvalidRequestError(f"{judge.name} scores one answer at a time: end the messages in the assistant's.")
    (_, a), (_, b) = messages[-2:]
    first, second = (parse_reply("messages", messages[:-2], reply) for reply in (a, b))
    return Comparison(first.prompt, first.answer, second.answer)


def parse_reply(name: str, messages: Sequence[Message], reply: str, *, role: str = "assistant") -> Conversation:
    """The conversation of messages and the reply to them.

    Raises:
        InvalidRequestError: they are not user and assistant in turn.
    """
    try:
        return Conversation(*parse_side(name, (), (*messages, (role, reply))))
    except UnreadableError as error:
        raise InvalidRequestError(f"{name}: {error.message}") from error


def _in_chat(judge: JudgeService, text: str) -> Conversation:
    chat = parse_rendered_chat(text)
    if chat is None:
        own = f", or the judge's own template ({short_repr(judge.reads.template, 400)})" if judge.reads else ""
        raise InvalidRequestError(
            "A text is in no form that is understood, so that prompt and answer cannot be told apart. Send a chat that "
            "ends in the assistant's reply, as the template of Gemma, ChatML (Qwen), Llama 2 or 3, Mistral or "
            f"DeepSeek renders it{own}."
        )
    return parse_reply("text", *chat)


def _require_rewards(judge: JudgeService) -> None:
    if not judge.gives_rewards:
        raise InvalidRequestError(
            f"{judge.name} compares two answers, and there is one here: send both, in its own template or as messages "
            "that end in the roles response_a and response_b; or serve a run that was trained with "
            "model.head=pointwise."
        )


def _in_own_template(judge: JudgeService, text: str) -> Truncatable | None:
    """What stands in the template's slots.

    Where a marker of the template occurs in what was said too, the first one counts: rendered again it is the same
    text, whichever it was.
    """
    reads = judge.reads
    if reads is None:
        return None
    while reads.bos and text.startswith(reads.bos):
        text = text[len(reads.bos) :]
    slots = ANSWER_SLOTS if judge.gives_rewards else SLOTS
    first, *pieces = re.split(f"({'|'.join(map(re.escape, slots))})", reads.template)
    named, markers = pieces[0::2], pieces[1::2]
    if not any(marker.strip() for marker in (first, *markers)) or not text.startswith(first):
        return None
    said, start = {}, len(first)
    for slot, marker in zip(named[:-1], markers[:-1], strict=True):
        end = text.find(marker, start)
        if end < 0:
            return None
        said[slot], start = text[start:end], end + len(marker)
    end = len(text) - len(markers[-1])
    if end < start or not text.endswith(markers[-1]):
        return None
    said[named[-1]] = text[start:end]
    if judge.gives_rewards:
        return Conversation((said["{prompt}"],), (said["{response}"],))
    return Comparison((said["{prompt}"],), (said["{response_a}"],), (said["{response_b}"],))
