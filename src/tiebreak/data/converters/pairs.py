"""Chosen and rejected answers, with the prompt in another column: LLaMA-Factory, ms-swift, Orca, OpenAI."""

from __future__ import annotations

from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.converters.converter import Cells, Converter, read_list, read_object, reply, user
from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.message_content import read_message
from tiebreak.data.transcripts import is_transcript

_PAIR: Final = {"chosen": "chosen", "rejected": "rejected"}
_ALWAYS: Final = frozenset({"history"})


def _convert_question(cells: Cells, _: str) -> list[Cells]:
    return [_row(cells, _question(cells), cells.get("chosen"), cells.get("rejected"))]


def _convert_conversations(cells: Cells, _: str) -> list[Cells]:
    column = "conversations" if "conversations" in cells else "messages"
    messages = read_list(column, cells.get(column))
    return [_row(cells, messages, cells.get("chosen"), cells.get("rejected"))]


def _convert_swift(cells: Cells, _: str) -> list[Cells]:
    """ms-swift: the last message is the chosen answer; the rejected one is a text, or a whole conversation."""
    *prompt, chosen = _not_empty("messages", cells.get("messages"))
    rejected = cells.get("rejected_response")
    if is_blank(rejected) and not is_blank(cells.get("rejected_messages")):
        *other_prompt, rejected = _not_empty("rejected_messages", cells.get("rejected_messages"))
        if other_prompt != prompt:
            raise UnreadableError("rejected_messages", "prompt_mismatch", "has another prompt than messages")
    return [_row(cells, prompt, chosen, rejected)]


def _convert_query(cells: Cells, _: str) -> list[Cells]:
    return [_row(cells, user(cells.get("query")), cells.get("response"), cells.get("rejected_response"))]


def _convert_openai(cells: Cells, _: str) -> list[Cells]:
    prompt = read_list("input", read_object("input", cells.get("input")).get("messages"))
    chosen, rejected = (read_list(name, cells.get(name)) for name in ("preferred_output", "non_preferred_output"))
    return [_row(cells, prompt, chosen, rejected)]


def _convert_output(cells: Cells, _: str) -> list[Cells]:
    """Alpaca's layout in older versions of LLaMA-Factory: `output` is the chosen and the rejected answer."""
    output = cells.get("output")
    if isinstance(output, str) and not output.lstrip().startswith("["):
        message = f"is {short_repr(output)}, one answer: expected a list of the chosen and the rejected one"
        raise UnreadableError("output", "not_text", message)
    answers = read_list("output", output)
    if len(answers) != 2:
        raise UnreadableError(
            "output", "not_text", f"is {short_repr(answers)}: expected the chosen and the rejected answer"
        )
    return [_row(cells, _question(cells), answers[0], answers[1])]


def _convert_stack_exchange(cells: Cells, _: str) -> list[Cells]:
    return [_row(cells, user(cells.get("question")), cells.get("response_j"), cells.get("response_k"))]


def _question(cells: Cells) -> list[object]:
    """The prompt in one of several columns. `input` continues an `instruction`, as in Alpaca's layout."""
    if "instruction" in cells:
        parts = [cells[name] for name in ("instruction", "input") if not is_blank(cells.get(name))]
        if len(parts) < 2:
            return user(parts[0] if parts else None)
        if not all(isinstance(part, str) for part in parts):
            message = f"is {short_repr(cells['input'])}: expected text that continues the text of instruction"
            raise UnreadableError("input", "not_text", message)
        return user("\n".join(map(str, parts)))
    cell = next((cells[name] for name in ("question", "query", "input") if name in cells), None)
    return user(cell)


def _row(cells: Cells, prompt: list[object], chosen: object, rejected: object) -> Cells:
    """Cells of the layout `chosen-rejected`. Answers that are whole conversations have the prompt in them."""
    whole = all(map(_is_conversation, (chosen, rejected)))
    messages = [*_history(cells.get("history")), *prompt]
    return {"prompt": None if whole else messages, "chosen": reply(chosen), "rejected": reply(rejected)}


def _is_conversation(answer: object) -> bool:
    if isinstance(answer, list) and answer:
        return read_message("chosen", 1, answer[0])[0] in ("system", "user")
    return is_transcript(answer)


def _history(cell: object) -> list[object]:
    """The messages of a `history` of questions and their answers."""
    messages: list[object] = []
    for pair in [] if is_blank(cell) else read_list("history", cell):
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnreadableError("history", "not_text", f"has {short_repr(pair)}: expected a question and its answer")
        messages += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    return messages


def _not_empty(column: str, cell: object) -> list[object]:
    messages = read_list(column, cell)
    if not messages:
        raise UnreadableError(column, "no_turns", "is a list of no messages")
    return messages


def _question_converter(column: str) -> Converter:
    more = {"input"} if column == "instruction" else set()
    return Converter(
        name=f"chosen-rejected-{column}",
        title=f"Chosen and rejected answers to a column {column}",
        required=frozenset({column, "chosen", "rejected"}),
        reads={"prompt": column, **_PAIR, "system": "system"},
        more=_ALWAYS | more,
        convert=_convert_question,
    )


def _conversation_converter(column: str) -> Converter:
    return Converter(
        name=f"chosen-rejected-{column}",
        title=f"LLaMA-Factory, chosen and rejected answers to a column {column}",
        required=frozenset({column, "chosen", "rejected"}),
        reads={"prompt": column, **_PAIR, "system": "system"},
        more=_ALWAYS,
        convert=_convert_conversations,
    )


def _swift_converter(rejected: str) -> Converter:
    return Converter(
        name="ms-swift",
        title="ms-swift, preferences",
        required=frozenset({"messages", rejected}),
        reads={"prompt": "messages", "chosen": "messages", "rejected": rejected, "system": "system"},
        more=_ALWAYS | {"rejected_response", "rejected_messages"},
        votes="the last of the messages is chosen",
        convert=_convert_swift,
    )


PAIRS: Final = (
    *map(_conversation_converter, ("conversations", "messages")),
    *map(_question_converter, ("instruction", "question", "query", "input")),
    *map(_swift_converter, ("rejected_response", "rejected_messages")),
    Converter(
        name="ms-swift-query",
        title="ms-swift, preferences as query and response",
        required=frozenset({"query", "response", "rejected_response"}),
        reads={"prompt": "query", "chosen": "response", "rejected": "rejected_response", "system": "system"},
        more=_ALWAYS,
        convert=_convert_query,
    ),
    Converter(
        name="alpaca-output",
        title="LLaMA-Factory, output as a pair",
        required=frozenset({"instruction", "output"}),
        reads={"prompt": "instruction", "chosen": "output", "rejected": "output", "system": "system"},
        more=_ALWAYS | {"input"},
        votes="the first of the two in output is chosen",
        convert=_convert_output,
    ),
    Converter(
        name="openai",
        title="OpenAI, preference fine-tuning",
        required=frozenset({"input", "preferred_output", "non_preferred_output"}),
        reads={"prompt": "input", "chosen": "preferred_output", "rejected": "non_preferred_output"},
        convert=_convert_openai,
    ),
    Converter(
        name="stack-exchange-paired",
        title="Stack Exchange, paired answers",
        required=frozenset({"question", "response_j", "response_k"}),
        reads={"prompt": "question", "chosen": "response_j", "rejected": "response_k"},
        votes="response_j is chosen",
        convert=_convert_stack_exchange,
    ),
)
