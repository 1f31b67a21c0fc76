"""Text that is exactly what a chat template renders -> the messages that it renders."""

from __future__ import annotations

import pytest

from tiebreak.data.chat_templates import KNOWN_TEMPLATES, ExactChatParser
from tiebreak.data.chat_templates.rendering import ChatRenderer

MESSAGES = (
    ("system", "Be kind."),
    ("user", "hello\n\nthere"),
    ("assistant", "fine thanks"),
    ("user", "and you?"),
    ("assistant", "well, <b>ok</b>"),
)
NO_SYSTEM_TURN = {"gemma", "mistral-v1", "mistral-v2", "mistral-v3"}
"""They render the system message into the user's first turn, as a judge with such a template does."""


def render(renderer: ChatRenderer, messages: tuple[tuple[str, str], ...]) -> str:
    rows = [{"role": role, "content": content} for role, content in messages]
    return renderer.render(rows, generation_prompt=False, options={})


@pytest.mark.parametrize("name", KNOWN_TEMPLATES)
def test_the_messages_of_every_known_template(name: str) -> None:
    template = KNOWN_TEMPLATES[name]
    parser, renderer = ExactChatParser(template), ChatRenderer(template)
    for first in (0, 1):
        for last in (2, 3, 4, 5):  # the text ends in a message of the user, or in a reply
            messages = MESSAGES[first:last]
            text = render(renderer, messages)
            if first == 0 and name in NO_SYSTEM_TURN:
                messages = (("user", "Be kind.\n\nhello\n\nthere"), *messages[2:])
            assert parser.parse(text) == messages
            for other in (text[:-1], text + "x", text[1:]):
                parsed = parser.parse(other)
                if parsed is not None:
                    assert render(renderer, parsed).removeprefix(template.bos) == other.removeprefix(template.bos)
