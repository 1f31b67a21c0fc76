"""Everything found -> the page: texts and numbers are filled into `page.html.jinja`, and escaped there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final

from tiebreak.formatting import pluralize
from tiebreak.metrics import Estimate, LengthBias
from tiebreak.report import charts
from tiebreak.report.analysis import Analysis
from tiebreak.report.predictions import Judged
from tiebreak.report.run_metadata import Record
from tiebreak.report.validation_rows import Cut
from tiebreak.runs import Orders
from tiebreak.types import OUTCOMES, Comparison

if TYPE_CHECKING:
    from markupsafe import Markup

SHOWN: Final = 400
"""Characters of a text that are shown before it is unfolded."""

CUTS_SHOWN: Final = 20

POINTS: Final = 600
"""Rows that a scatter plot shows, evenly taken."""

SIDES: Final = ("A", "B", "tie")
VOTED: Final = ("A was preferred", "B was preferred", "a tie")
PACKAGES: Final = ("tiebreak", "torch", "transformers", "peft", "bitsandbytes", "scikit-learn")


@dataclass(frozen=True)
class Content:
    """All that a page is made of."""

    title: str
    judged: Judged
    record: Record
    findings: Analysis
    comparisons: Sequence[Comparison] | None
    orders: Orders | None
    """The run's verdicts with A first and with B first."""
    no_orders: str
    """Why there are none, in a sentence."""
    cuts: Sequence[Cut] | None
    """None where it is not known which rows were cut."""
    notes: Sequence[str]
    """What is missing from the report, and how to get it."""
    made: str
    """When, and by which version."""


def render(content: Content) -> str:
    """The page as HTML."""
    from jinja2 import Environment, StrictUndefined

    source = (files(__package__) / "page.html.jinja").read_text(encoding="utf-8")
    house = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    house.filters |= {"interval": interval, "marked": marked}
    house.tests["present"] = lambda estimate: estimate is not None and not isnan(estimate.value)
    return house.from_string(source).render(
        c=content,
        evaluation=content.findings.evaluation,
        metrics=content.findings.evaluation.metrics,
        sides=SIDES,
        voted=VOTED,
        outcomes=OUTCOMES,
        settings=_settings(content.record),
        machine=_machine(content.record.environment),
        cost=_cost(content.record.history),
        charts=_charts(content),
        forest=_forest([standing.loss for standing in content.findings.standings]),
        biases=_biases(content.findings),
        rewards=_reward_table(content),
        mistakes=[_example(content, row) for row in content.findings.mistakes],
        ties=[_example(content, row) for row in content.findings.ties],
        cuts=_cuts(content),
        shown=SHOWN,
    )


def interval(estimate: Estimate, digits: int = 4) -> str:
    """In brackets; nothing where there is none."""
    return "" if isnan(estimate.low) else f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def marked(sentence: str) -> Markup:
    """Escaped, and what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = sentence.split("`")
    if len(parts) % 2 == 0:
        return escape(sentence)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts))


def _settings(record: Record) -> list[tuple[str, str]]:
    """The handful that matters."""
    if record.members:
        return [("blend of", ", ".join(f"{m.run} ({m.weight:.3f})" for m in record.members))]
    recipe = record.recipe
    if recipe is None:
        return []
    data = recipe.data
    rows = [("trained on", data.train.name if data.train else "")]
    rows.append(("validated on", data.validation.name if data.validation else "rows split off by prompt"))
    if recipe.baseline is not None:
        return [("classical judge", recipe.baseline.kind), *rows]
    training, lora = recipe.training, recipe.lora
    length = (
        pluralize(training.max_steps, "step") if training.max_steps > 0 else f"{training.num_train_epochs:g} epochs"
    )
    return [
        ("model", recipe.model.name),
        ("head", recipe.model.head),
        ("precision", recipe.model.precision),
        ("adapter", f"rank {lora.r}, alpha {lora.lora_alpha}"),
        ("learning rate", f"{training.learning_rate:g}, {training.lr_scheduler_type}"),
        ("batch", pluralize(training.batch_size, "comparison")),
        ("length of training", length),
        ("longest text", pluralize(recipe.text.max_length, "token")),
        *rows,
    ]


def _machine(environment: dict[str, Any]) -> list[tuple[str, str]]:
    packages = environment.get("packages") or {}
    git = environment.get("git") or {}
    gpus = environment.get("gpus") or []
    found = {
        "GPUs": ", ".join(map(str, gpus)) if gpus else "none",
        "CPU cores": environment.get("cpu_cores"),
        "platform": environment.get("platform"),
        "Python": environment.get("python"),
        "packages": ", ".join(f"{name} {packages[name]}" for name in PACKAGES if packages.get(name)),
        "seed": environment.get("seed"),
        "commit": f"{git['commit'][:12]}{', with changes' if git.get('changed') else ''}" if "commit" in git else None,
    }
    return [(name, str(value)) for name, value in found.items() if value not in (None, "")] if environment else []


def _cost(history: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the history tells of time and memory."""

    def all_of(key: str) -> list[float]:
        return [float(line[key]) for line in history if isinstance(line.get(key), (int, float))]

    seconds, speeds, memory = all_of("train_runtime"), all_of("tokens_per_second"), all_of("peak_memory_gib")
    validating, steps = all_of("eval_runtime"), all_of("step")
    rows = []
    if seconds:
        rows.append(("training, validations included", _time(seconds[-1])))
    if validating:
        rows.append((f"{pluralize(len(validating), 'validation')}", _time(sum(validating))))
    if steps:
        rows.append(("optimiser steps", f"{max(steps):,.0f}"))
    if speeds:
        rows.append(("tokens a second, median", f"{sorted(speeds)[len(speeds) // 2]:,.0f}"))
    if memory:
        rows.append(("peak memory of a GPU", f"{max(memory):.2f} GiB"))
    return rows


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _charts(content: Content) -> dict[str, Any]:
    """Those there is something to draw for, by name."""
    found: dict[str, Any] = {}
    history, findings = content.record.history, content.findings
    curves = [
        charts.Series(name, _points(history, key)) for name, key in (("training", "loss"), ("validation", "eval_loss"))
    ]
    curves = [one for one in curves if one.points]
    if curves:
        last = ", ".join(f"{one.name} ends at {one.points[-1][1]:.4f}" for one in curves)
        found["curves"] = charts.lines(curves, x="step", y="log loss", title=f"Log loss by step: {last}.")
    widths = [curve for curve in findings.evaluation.curves if curve.binning == "equal-width"]
    names = ("the likeliest outcome", "A wins", "B wins", "a tie")
    found["reliability"] = [
        (name, charts.reliability(curve, title=f"Reliability of {name}: calibration error {curve.error:.4f}."))
        for name, curve in zip(names, widths, strict=True)
    ]
    if findings.length is not None and findings.length.bins:
        found["length"] = _length(findings.length)
    formats = [(name, (p.judge, p.people)) for name, p in findings.formats.items() if p.rows]
    if formats:
        said = "Win rate of the answer that has more of it, the judge's and people's."
        found["format"] = charts.rates(formats, ("judge", "people"), x="the one with more of it wins", title=said)
    if content.orders is not None:
        found |= _of_orders(content.orders)
    if content.judged.rewards is not None:
        said = "Rewards of answers that people preferred, did not prefer, or called a tie."
        found["rewards"] = charts.histogram([*_rewards(content.judged).items()], x="reward, nats", title=said)
    return found


def _points(history: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """A number by step; what is none, as the loss of a step that failed, is left out."""
    both = [(line.get("step"), line.get(key)) for line in history]
    return [
        (step, value)
        for step, value in both
        if isinstance(step, (int, float)) and isinstance(value, (int, float)) and isfinite(value)
    ]


def _length(bias: LengthBias) -> Markup:
    both = [
        charts.Series(
            name,
            [(b.difference, getattr(b, name).value) for b in bias.bins],
            [(getattr(b, name).low, getattr(b, name).high) for b in bias.bins],
        )
        for name in ("judge", "people")
    ]
    said = "Win rate of the longer answer by relative difference in length, the judge's and people's."
    return charts.lines(both, x="difference in length", y="longer one wins", title=said, level=0.5)


def _of_orders(orders: Orders) -> dict[str, Markup]:
    """What coming first is worth, row by row; and both orders' verdicts against each other."""
    given, swapped = orders.as_given, orders.swapped
    gains = (given[:, 0] - swapped[:, 0] + swapped[:, 1] - given[:, 1]) / 2
    widest = max(float(abs(gains).max()), 0.01) * 1.05
    around = (-widest, widest)
    said = f"What coming first adds to an answer's probability of winning, on average {gains.mean():+.4f}."
    flips = given.argmax(axis=1) != swapped.argmax(axis=1)
    chosen = range(0, len(given), -(-len(given) // POINTS))
    groups = [
        (name, [(given[i, 0], swapped[i, 0]) for i in chosen if flips[i] == flipped])
        for name, flipped in (("same verdict in both orders", False), ("another verdict", True))
    ]
    return {
        "position": charts.histogram(
            [("rows", gains)], x="gain in P(win) by coming first", title=said, bins=31, span=around, level=0.0
        ),
        "orders": charts.scatter(
            groups, x="P(A wins), A first", y="P(A wins), B first",
            title=f"P(A wins) in both orders; another verdict in {flips.mean():.1%} of rows.",
        ),
    }  # fmt: skip


def _forest(losses: Sequence[Estimate]) -> list[dict[str, float]]:
    """Where the dots and intervals of log losses lie, in per cent of a cell's width."""
    ends = [end for e in losses for end in (e.value, e.low, e.high) if isfinite(end)]
    low, width = min(ends), (max(ends) - min(ends)) or 1.0

    def across(value: float) -> float:
        return round(100 * (value - low) / width, 2)

    return [
        {"dot": across(e.value)}
        | ({"left": across(e.low), "width": across(e.high) - across(e.low)} if isfinite(e.low) else {})
        for e in losses
    ]


def _rewards(judged: Judged) -> dict[str, list[float]]:
    """Of answers that people preferred, did not prefer, or called a tie; without groups that nothing is in."""
    assert judged.rewards is not None
    groups: dict[str, list[float]] = {"preferred": [], "not preferred": [], "tied": []}
    for (a, b), vote in zip(judged.rewards.tolist(), judged.votes, strict=True):
        likeliest = max(range(3), key=vote.__getitem__)
        if likeliest == 2:
            groups["tied"] += [a, b]
        else:
            groups["preferred"].append(b if likeliest else a)
            groups["not preferred"].append(a if likeliest else b)
    return {name: values for name, values in groups.items() if values}


def _reward_table(content: Content) -> list[tuple[str, float]]:
    """Means of the groups, and what the run keeps of its scale."""
    if content.judged.rewards is None:
        return []
    means = [(f"mean, {name}", sum(of) / len(of)) for name, of in _rewards(content.judged).items()]
    metrics = content.record.metrics
    named = (
        ("mean of all", "reward_mean"), ("standard deviation", "reward_deviation"), ("tie parameter", "tie_parameter"),
    )  # fmt: skip
    kept = [(name, metrics.get(key)) for name, key in named]
    return means + [(name, float(value)) for name, value in kept if isinstance(value, (int, float))]


def _biases(findings: Analysis) -> dict[str, Any]:
    """The tables below the pictures, by the pictures' names: rates of judge and people, and plain measures."""
    found: dict[str, Any] = {}
    if (position := findings.position) is not None:
        found["position"] = [
            ("named first, of the winners", position.first_slot_share),
            ("gain in P(win) by coming first", position.first_slot_gain),
            ("swap gap, mean |change of P(A)|", position.swap_gap),
            ("the first wins in both orders", position.first_twice),
            ("the second wins in both orders", position.second_twice),
        ]
        found["orders"] = [
            ("both orders agree", position.agreement),
            ("flip rate", position.flip_rate),
            ("log loss as given", position.loss["as_given"]),
            ("log loss swapped", position.loss["swapped"]),
            ("log loss of the mean of both", position.loss["average"]),
        ]
    length = findings.length
    if length is not None and length.longer.rows:
        of = length.longer
        found["length"] = [
            ("the longer one", of.rows, of.judge, of.people, of.excess),
            ("A", None, length.win_rate["judge"], length.win_rate["people"], None),
            ("A, at equal lengths", None, *(length.controlled_win_rate[who] for who in ("judge", "people")), None),
        ]
    formats = [(f"more {k}", p.rows, p.judge, p.people, p.excess) for k, p in findings.formats.items() if p.rows]
    if formats:
        found["format"] = formats
    return found


def _example(content: Content, row: int) -> dict[str, Any]:
    """A row to look at, with its texts where they are known."""
    probabilities, vote = content.judged.probabilities[row].tolist(), content.judged.votes[row]
    texts: list[tuple[str, str]] = []
    if content.comparisons is not None:
        comparison = content.comparisons[row]
        for turn, said in enumerate(zip(comparison.prompt, comparison.answer_a, comparison.answer_b, strict=True), 1):
            number = f" {turn}" if len(comparison.prompt) > 1 else ""
            texts += zip((f"Prompt{number}", f"A{number}", f"B{number}"), said, strict=True)
    return {
        "id": content.judged.ids[row],
        "probabilities": list(zip(SIDES, probabilities, strict=True)),
        "judged": SIDES[max(range(3), key=probabilities.__getitem__)],
        "sure": max(probabilities),
        "tie": probabilities[2],
        "voted": SIDES[max(range(3), key=vote.__getitem__)],
        "texts": texts,
        "lost": sum(cut.tokens_lost for cut in content.cuts or () if cut.row == row),
    }


def _cuts(content: Content) -> dict[str, Any] | None:
    """How many rows were cut and what the judge is worth on them, beside the others; and which lost most."""
    if content.cuts is None:
        return None
    losses, cut = content.judged.losses, {c.row for c in content.cuts}
    inside = [losses[row] for row in range(len(losses)) if row in cut]
    others = [losses[row] for row in range(len(losses)) if row not in cut]
    most = sorted(content.cuts, key=lambda c: -c.tokens_lost)[:CUTS_SHOWN]
    return {
        "count": len(cut),
        "rows": len(losses),
        "tokens": sum(c.tokens_lost for c in content.cuts),
        "turns": sum(c.turns_dropped for c in content.cuts),
        "loss_cut": sum(inside) / len(inside) if inside else None,
        "loss_whole": sum(others) / len(others) if others else None,
        "most": [(content.judged.ids[c.row], c.tokens_lost, c.turns_dropped) for c in most],
    }
