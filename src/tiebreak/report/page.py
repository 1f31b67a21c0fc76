"""Everything found -> the page: texts and numbers are filled into `page.html.jinja`, and escaped there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import isnan
from typing import Any, Final

from tiebreak.comparison import OUTCOMES, Comparison
from tiebreak.judging import Estimate
from tiebreak.report import charts
from tiebreak.report.findings import Findings
from tiebreak.report.judged import Judged
from tiebreak.report.record import Record
from tiebreak.report.texts import Cut
from tiebreak.wording import counted

SHOWN: Final = 400
"""Characters of a text that are shown before it is unfolded."""

CUTS_SHOWN: Final = 20

SIDES: Final = ("A", "B", "tie")
VOTED: Final = ("A was preferred", "B was preferred", "a tie")
PACKAGES: Final = ("tiebreak", "torch", "transformers", "peft", "bitsandbytes", "scikit-learn")


@dataclass(frozen=True)
class Content:
    """All that a page is made of."""

    title: str
    judged: Judged
    record: Record
    findings: Findings
    comparisons: Sequence[Comparison] | None
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
    house.filters |= {"interval": interval, "present": lambda e: e is not None and not isnan(e.value)}
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
        biases=_biases(content.findings),
        mistakes=[_example(content, row) for row in content.findings.mistakes],
        ties=[_example(content, row) for row in content.findings.ties],
        cuts=_cuts(content),
        shown=SHOWN,
    )


def interval(estimate: Estimate, digits: int = 4) -> str:
    """In brackets; nothing where there is none."""
    return "" if isnan(estimate.low) else f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


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
    length = counted(training.max_steps, "step") if training.max_steps > 0 else f"{training.num_train_epochs:g} epochs"
    return [
        ("model", recipe.model.name),
        ("head", recipe.model.head),
        ("precision", recipe.model.precision),
        ("adapter", f"rank {lora.r}, alpha {lora.lora_alpha}"),
        ("learning rate", f"{training.learning_rate:g}, {training.lr_scheduler_type}"),
        ("batch", counted(training.batch_size, "comparison")),
        ("length of training", length),
        ("longest text", counted(recipe.text.max_length, "token")),
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
        rows.append((f"{counted(len(validating), 'validation')}", _time(sum(validating))))
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
        charts.Series(name, [(line["step"], line[key]) for line in history if key in line and "step" in line])
        for name, key in (("training", "loss"), ("validation", "eval_loss"))
    ]
    curves = [one for one in curves if one.points]
    if curves:
        last = ", ".join(f"{one.name} ends at {one.points[-1][1]:.4f}" for one in curves)
        found["curves"] = charts.lines(curves, x="step", y="log loss", title=f"Log loss by step: {last}.")
    rows = [(standing.name, standing.loss) for standing in findings.standings]
    said = "; ".join(f"{name} {loss.value:.4f}" for name, loss in rows)
    found["standings"] = charts.standings(rows, x="log loss (lower is better)", title=f"Log loss: {said}.")
    widths = [curve for curve in findings.evaluation.curves if curve.binning == "equal-mass"]
    names = ("the likeliest outcome", "A wins", "B wins", "a tie")
    found["reliability"] = [
        (name, charts.reliability(curve, title=f"Reliability of {name}: calibration error {curve.error:.4f}."))
        for name, curve in zip(names, widths, strict=True)
    ]
    if findings.length is not None and findings.length.bins:
        bins = findings.length.bins
        both = [
            charts.Series(
                name,
                [(b.difference, getattr(b, who).value) for b in bins],
                [(getattr(b, who).low, getattr(b, who).high) for b in bins],
            )
            for name, who in (("judge", "judge"), ("people", "people"))
        ]
        said = "Win rate of the longer answer by relative difference in length, the judge's and people's."
        found["length"] = charts.lines(both, x="difference in length", y="longer one wins", title=said, level=0.5)
    if content.judged.rewards is not None:
        found["rewards"] = _rewards(content)
    return found


def _rewards(content: Content) -> Any:
    rewards, votes = content.judged.rewards, [max(range(3), key=vote.__getitem__) for vote in content.judged.votes]
    assert rewards is not None
    groups: dict[str, list[float]] = {"preferred": [], "not preferred": [], "tied": []}
    for (a, b), vote in zip(rewards.tolist(), votes, strict=True):
        if vote == 2:
            groups["tied"] += [a, b]
        else:
            groups["preferred"].append(b if vote else a)
            groups["not preferred"].append(a if vote else b)
    return charts.histogram(
        [(name, values) for name, values in groups.items() if values],
        x="reward, nats", title="Rewards of answers that people preferred, did not prefer, or called a tie.",
    )  # fmt: skip


def _biases(findings: Findings) -> list[tuple[str, Any]]:
    if findings.length is None:
        return []
    named = [("the longer one", findings.length.longer), *((f"more {k}", v) for k, v in findings.formats.items())]
    return [(name, preference) for name, preference in named if preference.rows]


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
