"""The model card of an export: use, metrics, training, limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tiebreak.export.result import ExportReport
from tiebreak.export.snippets import chat_snippet, plain_snippet
from tiebreak.formatting import pluralize
from tiebreak.models import NANO, JudgeCard
from tiebreak.recipe import Recipe, load_recipe
from tiebreak.recipe.yaml import write_yaml
from tiebreak.runs import RunFolder
from tiebreak.text import CHAT
from tiebreak.training.vote_sources import describe_train, train_name


def model_card(report: ExportReport, card: JudgeCard, family: str, source: RunFolder) -> str:
    """The text of README.md.

    Args:
        report: the export.
        card: the run's card.
        family: the base's model type, for example `gemma2`.
        source: the run.
    """
    recipe = load_recipe(source.recipe)
    sections = {
        "": _front_matter(report, card, family),
        f"# {report.folder.absolute().name}": _what_it_is(report, card),
        "## Use": _use(report, card),
        "## Input format": _text(report, card),
        "## Metrics": _metrics(source, recipe, card),
        "## Training": _training(source, recipe),
        "## Difference from the run": _drift(report, card),
        "## Limits": _limits(recipe, card),
        "## Licence": _licence(card, family),
    }
    return "\n\n".join(f"{title}\n\n{text}".strip() for title, text in sections.items()) + "\n"


def _front_matter(report: ExportReport, card: JudgeCard, family: str) -> str:
    about: dict[str, Any] = {
        "library_name": "peft" if report.adapter_only else "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["reward-model" if card.head == "pointwise" else "llm-as-a-judge", "human-preferences", "tiebreak"],
    }
    if _is_on_hub(card.base_model):
        about |= {
            "base_model": card.base_model,
            "base_model_relation": "adapter" if report.adapter_only else "finetune",
        }
    if _is_gemma(card, family):
        about["license"] = "gemma"
    return f"---\n{write_yaml(about)}---"


def _what_it_is(report: ExportReport, card: JudgeCard) -> str:
    holds = (
        "a LoRA adapter and the head, in PEFT's format"
        if report.adapter_only
        else f"merged weights in {report.dtype}, the head in float32"
    )
    origin = f"It was trained on votes with Tiebreak, from {_base(card)}. This folder holds {holds}."
    if card.head == "pointwise":
        odds = "the one with the higher reward is more likely to win"
        if card.rewards is not None and card.rewards.tie_model != "rao-kupper":
            odds = "the one whose reward is higher by 1 wins e times as often as it loses"
        return (
            "A reward model: it reads a prompt and one answer and returns a reward in nats. Of two answers to a "
            f"prompt, {odds}. {origin}"
        )
    return (
        "A judge: it reads a prompt and two answers and returns the probabilities that people prefer A, prefer B, or "
        f"call it a tie. {origin}"
    )


def _use(report: ExportReport, card: JudgeCard) -> str:
    parts = []
    if report.has_chat_template:
        parts += [
            _python(chat_snippet(card.head, adapter_only=report.adapter_only)),
            "The chat template writes the special tokens around a text itself, if there are any. Tokenize a rendered "
            "text with `add_special_tokens=False`; otherwise it gets them twice, and the outputs change.",
        ]
    if card.template != CHAT and (card.head == "pairwise" or not report.has_chat_template):
        if parts:
            parts.append("Without the chat template:")
        parts.append(_python(plain_snippet(card.head, adapter_only=report.adapter_only)))
    if card.head == "pairwise":
        parts.append("Judge both orders, A first and B first, and take the mean, so that position has no effect.")
    elif card.rewards is not None:
        formulas = {
            "davidson": f"softmax(r_A, r_B, (r_A + r_B) / 2 + t) with t = {card.rewards.tie_parameter:.6g} (Davidson "
            "1970)",
            "rao-kupper": "e^r_A / (e^r_A + theta e^r_B), e^r_B / (e^r_B + theta e^r_A) and the rest with theta = 1 + "
            f"e^t, t = {card.rewards.tie_parameter:.6g} (Rao and Kupper 1967)",
            "bradley-terry": "e^r_A / (e^r_A + e^r_B), e^r_B / (e^r_A + e^r_B) and 0 (Bradley and Terry 1952)",
        }
        parts.append(
            "The probabilities that people prefer A, prefer B, or call it a tie, from two rewards: "
            f"{formulas[card.rewards.tie_model]}."
        )
    return "\n\n".join(parts)


def _text(report: ExportReport, card: JudgeCard) -> str:
    pointwise = card.head == "pointwise"
    answers = "`assistant`" if pointwise else "`response_a`, `response_b`"
    roles = (
        f" The chat template takes the roles `user`, then `assistant`, `user` any number of times, then {answers}. At "
        "most one `system` message may come first."
        + ("" if card.template == CHAT else " It is put before the first turn, separated by a blank line.")
        if report.has_chat_template
        else ""
    )
    if card.template == CHAT:
        return _chat_text(card) + roles
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", card.template))])
    return (
        f"{fence}\n{card.template}\n{fence}\n\n"
        "`{prompt}` holds the last question; after earlier turns"
        f"{'' if pointwise else ', which are the same on both sides,'} "
        "the dialogue up to that: `User: ...`, `Assistant: ...`, `User: ...`, with blank lines between."
        f"{roles}"
    )


def _chat_text(card: JudgeCard) -> str:
    if card.head == "pointwise":
        return "The conversation is rendered in the base model's own chat template, without a generation prompt."
    return (
        "The comparison is rendered in the base model's own chat template: the turns that both sides share as they "
        "were, then one message of the user with the prompt and both answers."
    )


def _metrics(source: RunFolder, recipe: Recipe, card: JudgeCard) -> str:
    metrics: dict[str, float] = json.loads(source.metrics.read_text(encoding="utf-8"))
    # An export gives uncalibrated probabilities.
    metrics |= {
        name.removeprefix("uncalibrated_"): value for name, value in metrics.items() if name.startswith("uncalibrated_")
    }
    names = {"": "all", "_model_a": "A was preferred", "_model_b": "B was preferred", "_tie": "a tie"}
    rows = [
        f"| {name} | {metrics[f'loss{key}']:.4f} | {metrics[f'accuracy{key}']:.3f} |"
        for key, name in names.items()
        if f"loss{key}" in metrics
    ]
    knows_ties = card.rewards is None or card.rewards.tie_model != "bradley-terry"
    guess = (
        "A uniform guess has a log loss of 1.0986."
        if knows_ties
        else "It gives ties a probability of 0. A uniform guess between A and B has a log loss of 0.6931."
    )
    scale = (
        ""
        if card.rewards is None
        else f"\n\nRewards of these rows' answers: mean {card.rewards.mean:.3f}, standard deviation "
        f"{card.rewards.deviation:.3f} nats."
    )
    return (
        f"On {_validation(recipe)}, judged in one order by the run itself (base in {card.precision}):\n\n"
        "| votes | log loss | accuracy |\n|---|---|---|\n" + "\n".join(rows) + f"\n\n{guess}{scale}"
    )


def _validation(recipe: Recipe) -> str:
    if recipe.data.validation is not None:
        return f"votes of `{recipe.data.validation.name}`"
    return "held-out votes of the training data, with other prompts"


def _training(source: RunFolder, recipe: Recipe) -> str:
    environment: dict[str, Any] = json.loads(source.environment.read_text(encoding="utf-8"))
    packages = environment["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("tiebreak", "torch", "transformers", "peft"))
    gpus = environment["gpus"]
    steps = max((int(line["step"]) for line in source.read_history() if "step" in line), default=0)
    settings, lora = recipe.training, recipe.lora
    assert recipe.data.train is not None
    votes = f"`{describe_train(recipe.data.train, environment)}`"
    if recipe.data.train_rows is not None:
        votes += f", {pluralize(recipe.data.train_rows, 'row')} of it"
    orders = ", in both orders" if settings.both_orders else ""
    return "\n".join(
        [
            f"- votes: {votes}",
            f"- {pluralize(steps, 'step')} of {pluralize(settings.batch_size, 'comparison')}{orders}, learning rate "
            f"{settings.learning_rate:g} ({settings.lr_scheduler_type}), seed {settings.seed}",
            f"- LoRA of rank {lora.r}, alpha {lora.lora_alpha}, dropout {lora.lora_dropout:g}; base weights in "
            f"{recipe.model.precision}",
            f"- {versions}; {', '.join(gpus) if gpus else 'on a CPU'}",
        ]
    )


def _drift(report: ExportReport, card: JudgeCard) -> str:
    why = (
        "The adapter is used with a base in full precision here"
        if report.adapter_only
        else "Adapter and base were merged in float32, from the base in full precision, and rounded once to "
        f"{report.dtype}"
    )
    trained = (
        f"; the run trained it with a base in {card.precision}" if card.precision in ("nf4", "int8", "fp8") else ""
    )
    measured = "The difference from the run's outputs was not measured." if report.drift is None else str(report.drift)
    return f"{why}{trained}. {measured}"


def _limits(recipe: Recipe, card: JudgeCard) -> str:
    assert recipe.data.train is not None
    answer = "answer's" if card.head == "pointwise" else "longer answer's"
    limits = [
        f"It was trained on texts of up to {card.max_length:,} tokens. Tiebreak truncates longer ones: the oldest "
        "turns, "
        f"then the {answer} middle. A chat template does not truncate, and `truncation=True` removes the end, which "
        "the model needs.",
        "A special token that is spelled out in a text (such as `<bos>`) becomes a special token here; Tiebreak "
        "escapes it.",
        f"It predicts the preferences of the people who voted in `{train_name(recipe.data.train)}`, in their "
        "languages and on their prompts. It does not check facts, and may prefer longer or better formatted answers, "
        "as people do.",
        "Its probabilities are not calibrated."
        if card.calibration is None or card.calibration.method == "none"
        else f"Its outputs are not calibrated. The run's judge applies {card.calibration.name} to them; its "
        "parameters are in `calibration` in tiebreak.json.",
    ]
    if card.head == "pointwise":
        limits.append(
            "Votes compare answers to one prompt. Rewards of answers to different prompts are comparable only as "
            "far as "
            "the model generalizes. A policy trained on them will exploit what they miss."
        )
    else:
        limits.append("Its probabilities may depend on the order of the answers, unless both orders are averaged.")
    if card.base_model == NANO:
        limits.append("The built-in nano model only knows small sums: this is a demonstration.")
    return "\n".join(f"- {line}" for line in limits)


def _licence(card: JudgeCard, family: str) -> str:
    if card.base_model == NANO:
        return "The weights come from Tiebreak's built-in model, under the MIT licence, like Tiebreak."
    if _is_gemma(card, family):
        return (
            "The weights derive from Gemma: use and distribution are subject to the Gemma Terms of Use "
            "(https://ai.google.dev/gemma/terms) and its Prohibited Use Policy, and a distribution must include these "
            "terms. The votes may have terms of their own."
        )
    return (
        f"The weights derive from {_base(card)}, and are subject to its licence. The votes may have terms of their own."
    )


def _is_gemma(card: JudgeCard, family: str) -> bool:
    return family.startswith("gemma") and card.base_model != NANO


def _is_on_hub(name: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not Path(name).exists()


def _base(card: JudgeCard) -> str:
    if card.base_model == NANO:
        return "the built-in nano model"
    if _is_on_hub(card.base_model):
        return f"[{card.base_model}](https://huggingface.co/{card.base_model})"
    return f"`{Path(card.base_model).name}`"


def _python(code: str) -> str:
    return f"```python\n{code}```"
