"""The report page: texts, tables and charts filled into `page.html.jinja`, which escapes them."""

from __future__ import annotations

from importlib.resources import files
from math import isnan
from typing import TYPE_CHECKING, Final

from tiebreak.metrics import Estimate
from tiebreak.report import page_charts, tables
from tiebreak.report.content import SIDES, Content
from tiebreak.types import OUTCOMES
from tiebreak.workflows.verdict import judge_comparisons

if TYPE_CHECKING:
    from markupsafe import Markup

PREVIEW_LENGTH: Final = 400
"""Characters of a text that are shown before it is unfolded."""


def render(content: Content) -> str:
    """The page as HTML."""
    from jinja2 import Environment, StrictUndefined

    source = (files(__package__) / "page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"interval": format_interval, "code": mark_code}
    environment.tests["present"] = lambda estimate: estimate is not None and not isnan(estimate.value)
    analysis = content.analysis
    evaluation = analysis.result.evaluation
    judges = tables.judge_rows(content.title, analysis)
    return environment.from_string(source).render(
        content=content,
        result=analysis.result,
        evaluation=evaluation,
        metrics=evaluation.metrics,
        verdict=judge_comparisons(evaluation.metrics["loss"].value, evaluation.rows, analysis.others),
        calibrated=evaluation.expected_if_calibrated,
        sides=SIDES,
        outcomes=OUTCOMES,
        judges=list(zip(judges, tables.forest_plot([judge.loss for judge in judges]), strict=True)),
        settings=tables.settings(content.metadata),
        environment=tables.environment(content.metadata.environment),
        cost=tables.cost(content.metadata.history),
        charts=page_charts.all_charts(content),
        biases=tables.biases(analysis.result),
        rewards=tables.rewards(content),
        mistakes=[tables.example(content, row) for row in analysis.mistakes],
        ties=[tables.example(content, row) for row in analysis.ties],
        truncation=tables.truncation(content),
        preview_length=PREVIEW_LENGTH,
    )


def format_interval(estimate: Estimate, digits: int = 4) -> str:
    """The interval in brackets; empty if there is none."""
    return "" if isnan(estimate.low) else f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def mark_code(sentence: str) -> Markup:
    """The sentence escaped, with what is between backticks as code."""
    from markupsafe import Markup, escape

    parts = sentence.split("`")
    if len(parts) % 2 == 0:
        return escape(sentence)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts))
