"""Render conversations with the Jinja source of a chat template, as transformers' `apply_chat_template` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ChatTemplateError(Exception):
    """A chat template cannot be rendered, or its messages cannot be recovered from what it renders."""


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template and the special tokens of its tokenizer."""

    source: str
    """In Jinja."""
    bos: str = ""
    eos: str = ""
    special_tokens: tuple[str, ...] = ()
    """Further special tokens, such as those that end a turn and those for padding."""
    variables: tuple[tuple[str, str], ...] = ()
    """Further variables of the template, such as other special tokens by their names."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> ChatTemplate | None:
        """The chat template and the special tokens of a tokenizer; None if it has no chat template."""
        source: Any = tokenizer.chat_template
        if isinstance(source, dict):
            source = source.get("default")
        if not source:
            return None
        variables = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
        bos, eos = variables.pop("bos_token", ""), variables.pop("eos_token", "")
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        return cls(source, bos, eos, tuple(special), tuple(variables.items()))


class _GenerationBlocks(Extension):
    """Ignores `{% generation %}` blocks, with which templates mark the assistant's tokens."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    return environment


class ChatRenderer:
    """Renders conversations with one template.

    Args:
        template: the template.

    Raises:
        ChatTemplateError: its source is not valid Jinja.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self.template = template
        try:
            self._compiled = _environment().from_string(template.source)
        except TemplateError as error:
            raise ChatTemplateError(f"it is not valid Jinja: {error}") from error

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names of the variables that the template reads."""
        return frozenset(meta.find_undeclared_variables(_environment().parse(self.template.source)))

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        generation_prompt: bool,
        options: Mapping[str, Any],
        strftime: Callable[[str], str] = lambda date_format: datetime.now().strftime(date_format),
    ) -> str:
        """The rendered conversation.

        Args:
            messages: with `role` and `content`.
            generation_prompt: add the opening of a reply at the end.
            options: further variables, such as `enable_thinking`.
            strftime: formats the current date.

        Raises:
            ChatTemplateError: the template refuses the messages, or fails.
        """
        try:
            return self._compiled.render(
                **dict(self.template.variables),
                bos_token=self.template.bos,
                eos_token=self.template.eos,
                messages=[dict(message) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=generation_prompt,
                strftime_now=strftime,
                **options,
            )
        except Exception as error:  # a template is a program: it may raise anything
            raise ChatTemplateError(f"it cannot be rendered: {error}") from error
