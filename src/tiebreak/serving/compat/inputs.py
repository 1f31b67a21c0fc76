"""What requests of compatibility APIs contain: texts, messages or token ids -> prompts and answers.

A text is read in one of two ways:

1. In the judge's own template, after any number of BOS tokens: the prompt and the answers in its slots, or the messages
   of its chat template. Code written for an exported folder works unchanged; a text that is too long is truncated as in
   training, which keeps the template intact.
2. As a chat that the policy's template rendered and that ends in the assistant's reply: the prompt and the reply, for
   judges that score one answer. `tiebreak serve --policy` names that template; otherwise those of common model families
   are tried.

Any other text is refused: markers of an unknown template would be judged as part of the conversation.

Messages are the same conversation before rendering. For a pairwise judge they end in the roles `response_a` and
`response_b`, as in the chat template of an export. Token ids are those of the judge's tokenizer, of a text in its
template.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from tiebreak.data import UnreadableError, short_repr
from tiebreak.data.chat_templates import KNOWN_TEMPLATES
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_side, system_message
from tiebreak.serving.errors import InvalidRequestError, unreadable_error
from tiebreak.text.template import ANSWER_SLOTS, SEED_TEMPLATE, SLOTS
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService

ANSWER_ROLES = ("response_a", "response_b")
"""Roles of the last two messages for a pairwise judge."""
EXAMPLE_CHAT: Final = "<start_of_turn>user\n1 + 1 = ?<end_of_turn>\n<start_of_turn>model\n2<end_of_turn>\n"


class CompatRequest(BaseModel):
    """A request whose unknown fields are ignored: clients send many."""

    model_config = ConfigDict(extra="ignore")


def one_error(message: str) -> WrapValidator:
    """A validator that replaces the errors of a union's members with one message."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("not_this", "{message}", {"message": message}) from None

    return WrapValidator(validate)


TokenId = Annotated[StrictInt, Field(ge=0, lt=2**31)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]
ModelName = Annotated[StrictStr | None, Field(description="The name of the served model, or nothing.")]
TextsOrIds = Annotated[
    StrictStr
    | Annotated[list[StrictStr], Field(min_length=1)]
    | TokenIds
    | Annotated[list[TokenIds], Field(min_length=1)],
    one_error("give a text, a list of texts, token ids, or lists of token ids; none of them empty"),
    Field(
        description="Rendered texts: chats in a known template that end in the assistant's reply, or texts in the "
        "judge's own template, with or without BOS; or the token ids of such texts."
    ),
]


def input_rows(value: str | Sequence[Any]) -> list[str | list[int]]:
    """The texts or token ids in a `TextsOrIds`."""
    if isinstance(value, str) or isinstance(value[0], int):
        return [value]  # type: ignore[list-item]  # one text, or the ids of one
    return list(value)


def parse_text(judge: JudgeService, text: str) -> Conversation | Comparison:
    """The prompt and the answers in a rendered text.

    Raises:
        InvalidRequestError: its template is unknown, or it has one answer and the judge is pairwise.
    """
    parsed = _parse_own_template(judge, text) or _parse_chat(judge, text)
    if isinstance(parsed, Conversation):
        _require_rewards(judge)
    return parsed


async def parse_rows(
    judge: JudgeService, rows: Sequence[str | list[int]]
) -> list[Conversation | Comparison | list[int]]:
    """`parse_text` of each text, in a thread: long texts would block the event loop. Token ids stay as they are.

    Raises:
        InvalidRequestError: as in `parse_text`.
    """
    return await asyncio.to_thread(lambda: [parse_text(judge, row) if isinstance(row, str) else row for row in rows])


def parse_answer_text(judge: JudgeService, text: str) -> Conversation:
    """The prompt and the answer in a rendered text, for APIs that return rewards.

    Raises:
        InvalidRequestError: its template is unknown, or it has two answers.
    """
    parsed = _parse_own_template(judge, text)
    if isinstance(parsed, Comparison):
        raise InvalidRequestError(
            "A text in the judge's own template has two answers, but a reward is for one. Send chats that end in one "
            "reply each, several to the same prompt."
        )
    return parsed or _parse_chat(judge, text)


def parse_messages(judge: JudgeService, messages: Sequence[Message]) -> Conversation | Comparison:
    """The prompt and the answers in a conversation's messages.

    Raises:
        InvalidRequestError: the roles do not alternate, or the last ones are not those that the judge needs.
    """
    if tuple(role for role, _ in messages[-2:]) != ANSWER_ROLES:
        _require_rewards(judge)
        return parse_reply("messages", messages[:-1], messages[-1][1], role=messages[-1][0])
    if judge.gives_rewards:
        raise InvalidRequestError(f"{judge.name} scores one answer at a time. End the messages with the assistant's.")
    (_, a), (_, b) = messages[-2:]
    first, second = (parse_reply("messages", messages[:-2], reply) for reply in (a, b))
    return Comparison(first.prompt, first.answer, second.answer, system=first.system)


def parse_reply(name: str, messages: Sequence[Message], reply: str, *, role: str = "assistant") -> Conversation:
    """The conversation of messages and a reply to them.

    Args:
        name: of the field, for error messages.
        messages: up to the last one of the user.
        reply: content of the last message.
        role: of the last message.

    Raises:
        InvalidRequestError: they do not make a conversation that ends in a text of the assistant.
    """
    try:
        turns, replies = parse_side(name, (), (*messages, (role, reply)))
    except UnreadableError as error:
        raise unreadable_error(name, error) from error
    return Conversation(turns, replies, system_message(tuple(messages)))


def _parse_chat(judge: JudgeService, text: str) -> Conversation:
    chat = judge.policy.parse_chat(text)
    if chat is None:
        raise unknown_template_error("text", f"Send a chat that ends in the assistant's reply{_own_advice(judge)}. ")
    return parse_reply("text", *chat)


def _own_advice(judge: JudgeService) -> str:
    if judge.reads is None:
        return ""
    if judge.reads.chat_template is None:
        return f", or use the judge's own template ({short_repr(judge.reads.template, 400)})"
    return ", or what the chat template of the judge's export renders, or its token ids, or messages (vLLM's /classify)"


def unknown_template_error(name: str, advice: str = "") -> InvalidRequestError:
    """The error for a text that the policy's chat template did not render.

    Args:
        name: of the field.
        advice: what the client can do.
    """
    return InvalidRequestError(
        f"{name}: the template of a text is unknown, so its prompt and answer cannot be separated. {advice}Serve with "
        "--policy and the policy's folder or hub name, a .jinja file, 'none' for a policy without a chat template, or "
        f"the name of its template: {', '.join(KNOWN_TEMPLATES)}."
    )


def _require_rewards(judge: JudgeService) -> None:
    if not judge.gives_rewards:
        raise InvalidRequestError(
            f"{judge.name} is a pairwise judge, but the text has one answer. Send two, in its own template or as "
            "messages that end in the roles response_a and response_b, or serve a run that was trained with "
            "model.head=pointwise."
        )


def _parse_own_template(judge: JudgeService, text: str) -> Conversation | Comparison | None:
    """The contents of the template's slots; None if the text is not in the template.

    If a marker of the template also occurs in the conversation, the first occurrence counts. The result renders to the
    same text in any case.
    """
    reads = judge.reads
    if reads is None:
        return None
    if reads.chat_template is not None:
        return _parse_own_chat(judge, text)
    while reads.bos and text.startswith(reads.bos):
        text = text[len(reads.bos) :]
    contents = _slot_contents(reads.template, ANSWER_SLOTS if judge.gives_rewards else SLOTS, text)
    if contents is None:
        return None
    if judge.gives_rewards:
        return Conversation((contents["{prompt}"],), (contents["{response}"],))
    return Comparison((contents["{prompt}"],), (contents["{response_a}"],), (contents["{response_b}"],))


def _parse_own_chat(judge: JudgeService, text: str) -> Conversation | Comparison | None:
    """The conversation in a text that the judge's chat template rendered; None if it did not render it.

    For a pairwise judge, the last message of the user holds the comparison.
    """
    messages = None if judge.own_chat is None else judge.own_chat.parse(text)
    if messages is None:
        return None
    *earlier, (role, content) = messages
    if role == "assistant":
        return parse_reply("text", earlier, content)
    contents = None if judge.gives_rewards else _slot_contents(SEED_TEMPLATE.text, SLOTS, content)
    if contents is None:
        return None
    asked = [*earlier, ("user", contents["{prompt}"])]
    a, b = (parse_reply("text", asked, contents[slot]) for slot in ("{response_a}", "{response_b}"))
    return Comparison(a.prompt, a.answer, b.answer, system=a.system)


def _slot_contents(template: str, slots: Sequence[str], text: str) -> dict[str, str] | None:
    """The contents of a template's slots in a text; None if the text is not in the template."""
    start_marker, *pieces = re.split(f"({'|'.join(map(re.escape, slots))})", template)
    names, markers = pieces[0::2], pieces[1::2]
    if not any(marker.strip() for marker in (start_marker, *markers)) or not text.startswith(start_marker):
        return None
    contents, start = {}, len(start_marker)
    for name, marker in zip(names[:-1], markers[:-1], strict=True):
        end = text.find(marker, start)
        if end < 0:
            return None
        contents[name], start = text[start:end], end + len(marker)
    end = len(text) - len(markers[-1])
    if end < start or not text.endswith(markers[-1]):
        return None
    contents[names[-1]] = text[start:end]
    return contents
