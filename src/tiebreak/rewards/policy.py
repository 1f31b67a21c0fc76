"""The chat template of the policy whose answers are scored, by its name, its folder, or detected from the text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tiebreak.data.chat_templates import (
    KNOWN_TEMPLATES,
    PLAIN,
    ChatTemplate,
    ChatTemplateError,
    ChatTemplateParser,
    RenderedTextParser,
    TemplateDetector,
    known_parser,
)
from tiebreak.errors import ModelError
from tiebreak.runs import RunFolder

AUTO: Final = "auto"
NONE: Final = "none"
HOW_TO_NAME: Final = (
    "the policy's folder or hub name, a .jinja file, 'none' for a policy without a chat template, or one of "
    + ", ".join(KNOWN_TEMPLATES)
)


def policy_parser(
    policy: str = AUTO, *, run: str | Path | None = None, own: ChatTemplate | None = None
) -> RenderedTextParser:
    """What parses the rendered texts of a policy.

    Args:
        policy: `auto` tries the chat template of the judge's base model and those that are known by name; `none` stands
            for a policy without a chat template. Otherwise the name of a known template, a file of Jinja source, or the
            folder or hub name of a model whose tokenizer has a chat template.
        run: the judge's run folder, for `auto`.
        own: without a run folder, the chat template that the judge reads, if it reads one.

    Raises:
        ModelError: the model has no chat template or cannot be loaded, or its template cannot be inverted.
    """
    if policy == AUTO:
        base = _own_parser(own) if run is None else _base_parser(RunFolder(run))
        known = [known_parser(name) for name in KNOWN_TEMPLATES]
        return TemplateDetector(known if base is None else [base, *known])
    if policy == NONE:
        return PLAIN
    if policy in KNOWN_TEMPLATES:
        return known_parser(policy)
    template = _template_file(Path(policy)) if policy.endswith(".jinja") else _model_template(policy)
    try:
        return ChatTemplateParser(template)
    except ChatTemplateError as error:
        raise ModelError(
            f"The chat template of {policy} cannot be inverted: {error}. Name a template that renders the same text: "
            f"{', '.join(KNOWN_TEMPLATES)}."
        ) from error


def _base_parser(folder: RunFolder) -> ChatTemplateParser | None:
    """The parser of the base model's own chat template; None if it has none that can be inverted."""
    if folder.holds_a_blend or folder.holds_a_baseline:
        return None
    try:
        return _own_parser(_model_template(str(folder.model)))
    except ModelError:
        return None


def _own_parser(template: ChatTemplate | None) -> ChatTemplateParser | None:
    try:
        return None if template is None else ChatTemplateParser(template)
    except ChatTemplateError:
        return None


def _template_file(path: Path) -> ChatTemplate:
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read as a chat template: {error}") from error
    if "eos_token" in source:
        raise ModelError(
            f"{path} uses eos_token, and a .jinja file does not say what that is. Name the folder of the tokenizer "
            f"instead: {path.parent}."
        )
    return ChatTemplate(source)


def _model_template(name: str) -> ChatTemplate:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except Exception as error:  # tokenizers of other libraries raise anything
        reason = (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
        raise ModelError(
            f"The tokenizer of the policy {name} cannot be loaded: {reason}. Give {HOW_TO_NAME}."
        ) from error
    template = ChatTemplate.of(tokenizer)
    if template is None:
        raise ModelError(f"The tokenizer of the policy {name} has no chat template. Give {HOW_TO_NAME}.")
    return template
