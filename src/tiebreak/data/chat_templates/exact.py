"""Recover the messages of text that is exactly what a chat template renders, for judges that read it as it is."""

from __future__ import annotations

from typing import Final

from tiebreak.data.chat_templates.parsing import ChatTemplateParser
from tiebreak.data.chat_templates.rendering import ChatRenderer, ChatTemplate, ChatTemplateError
from tiebreak.data.message_content import Message

_PROBE: Final = "xqUserProbeqx"


class ExactChatParser:
    """Parses what one chat template rendered without a generation prompt.

    Unlike `ChatTemplateParser`, it accepts a text that ends in a message of the user, and tolerates nothing but another
    number of BOS tokens in front: the messages render to the same text.

    Args:
        template: the template and the special tokens of its tokenizer.

    Raises:
        ChatTemplateError: as in `ChatTemplateParser`.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._bos = template.bos
        self._renderer = ChatRenderer(template)
        self._parser = ChatTemplateParser(template)
        question = (("user", _PROBE),)
        self._user_end = self._render(question, generation_prompt=False).rpartition(_PROBE)[2]
        self._generation = self._render(question, generation_prompt=True).rpartition(_PROBE)[2]

    def parse(self, text: str) -> tuple[Message, ...] | None:
        """Role (`system`, `user` or `assistant`) and content of each message; None if the text is another one.

        A default system message of the template is not among them.
        """
        chat = self._parser.parse(text, None)
        if chat is not None and self._renders_to((*chat[0], ("assistant", chat[1])), text):
            return (*chat[0], ("assistant", chat[1]))
        if not text.endswith(self._user_end):
            return None
        question = self._parser.parse(text[: len(text) - len(self._user_end)] + self._generation, "")
        return question[0] if question is not None and self._renders_to(question[0], text) else None

    def _renders_to(self, messages: tuple[Message, ...], text: str) -> bool:
        try:
            rendered = self._render(messages, generation_prompt=False)
        except ChatTemplateError:
            return False
        return self._without_bos(rendered) == self._without_bos(text)

    def _render(self, messages: tuple[Message, ...], *, generation_prompt: bool) -> str:
        rows = [{"role": role, "content": content} for role, content in messages]
        return self._renderer.render(rows, generation_prompt=generation_prompt, options={})

    def _without_bos(self, text: str) -> str:
        while self._bos and text.startswith(self._bos):
            text = text[len(self._bos) :]
        return text
