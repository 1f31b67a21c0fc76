"""A base model's chat template, as its tokenizer has it.

A template that writes the date (`strftime_now`, Llama 3) would render other texts every day. So the date is fixed when
the template is first read: a macro in front of it gives that day. The tokenizer keeps the fixed template, and with it
the run folder and an export.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from tiebreak.errors import RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = tuple[str, str]
"""Role and content."""

_REMEDY: Final = "Write a template with slots, or leave text.template out."
_SYSTEM, _USER, _ASSISTANT = "Sysprobe", "Userprobe", "Assistantprobe"


@dataclass(frozen=True)
class ChatFormat:
    """Renders messages with a tokenizer's chat template, without a generation prompt."""

    tokenizer: PreTrainedTokenizerFast
    source: str
    """Jinja source, with its date fixed."""
    has_system: bool
    """Whether the template renders a system message; if not, it goes in front of the first user turn."""
    markers: frozenset[str]
    """Added tokens that the template writes, other than white space."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, today: date | None = None) -> ChatFormat:
        """The format of a tokenizer, whose chat template is replaced by one with a fixed date if it writes the date.

        Args:
            tokenizer: with a chat template.
            today: the date to fix, by default the current one.

        Raises:
            RecipeError: there is no chat template, or it cannot render a conversation.
        """
        try:
            source = tokenizer.get_chat_template()
        except ValueError:
            source = ""
        if not source:
            raise RecipeError(f"text.template is chat, but the base model's tokenizer has no chat template. {_REMEDY}")
        fixed = _fix_date(source, today or date.today())
        if fixed != source:
            tokenizer.chat_template = source = fixed
        plain = _probe(tokenizer, source, (("user", _USER), ("assistant", _ASSISTANT)) * 2)
        if plain is None or plain.count(_USER) != 2 or plain.count(_ASSISTANT) != 2:
            raise RecipeError(
                "text.template is chat, but the base model's chat template does not render two turns of user and "
                f"assistant. {_REMEDY}"
            )
        # A template may refuse to end with a message of the assistant, or with one of the user.
        turns = (("system", _SYSTEM), ("user", _USER), ("assistant", _ASSISTANT), ("user", _USER))
        with_system = "".join(_probe(tokenizer, source, messages) or "" for messages in (turns[:-1], turns))
        has_system = _SYSTEM in with_system
        rendered = plain + with_system
        added = {token.content for token in tokenizer.added_tokens_decoder.values()}
        markers = frozenset(content for content in added if content.strip() and content in rendered)
        return cls(tokenizer, source, has_system, markers)

    def render(self, messages: Sequence[Message], system: str = "") -> str:
        """The text of messages, the first of which is the user's, after a system message if the template has them.

        Raises:
            RecipeError: the template refuses them.
        """
        if system:
            messages = (("system", system), *messages)
        try:
            return _render(self.tokenizer, self.source, messages)
        except Exception as error:
            raise RecipeError(
                f"text.template is chat, but the base model's chat template refuses a conversation: {error}. {_REMEDY}"
            ) from error


def _render(tokenizer: PreTrainedTokenizerFast, source: str, messages: Sequence[Message]) -> str:
    turns = [{"role": role, "content": content} for role, content in messages]
    return str(tokenizer.apply_chat_template(turns, chat_template=source, tokenize=False, add_generation_prompt=False))


def _probe(tokenizer: PreTrainedTokenizerFast, source: str, messages: Sequence[Message]) -> str | None:
    """The text of messages; None if the template refuses them."""
    try:
        return _render(tokenizer, source, messages)
    except Exception:  # a template may fail in any way that Python can
        return None


def _fix_date(source: str, today: date) -> str:
    """The template with a macro `strftime_now` that gives a fixed date, if it uses the function.

    Raises:
        RecipeError: it computes the format of the date.
    """
    from jinja2 import Environment, TemplateSyntaxError, meta, nodes

    if "strftime_now" not in source:
        return source
    # With the extension that transformers uses, for {% break %}; {% generation %} is known to transformers only.
    environment = Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(source.replace("{% generation %}", "").replace("{% endgeneration %}", ""))
    except TemplateSyntaxError as error:
        raise RecipeError(f"The base model's chat template cannot be parsed: {error}. {_REMEDY}") from error
    if "strftime_now" not in meta.find_undeclared_variables(tree):
        return source  # fixed before
    formats: list[str] = []
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "strftime_now":
            if len(call.args) != 1 or not isinstance(call.args[0], nodes.Const):
                raise RecipeError(f"The base model's chat template computes the format of today's date. {_REMEDY}")
            formats.append(call.args[0].value)
    moment = datetime(today.year, today.month, today.day)
    dates = {form: moment.strftime(form) for form in formats}
    macro = f"{{%- macro strftime_now(format) -%}}{{{{- {dates!r}[format] -}}}}{{%- endmacro -%}}"
    return f"{macro}{source}"
