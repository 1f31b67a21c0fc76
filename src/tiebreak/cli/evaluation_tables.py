"""An evaluation as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, log
from typing import TYPE_CHECKING

from rich.markup import escape

from tiebreak.cli.console import results
from tiebreak.formatting import pluralize
from tiebreak.metrics.log_loss import MIN_PROBABILITY
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from tiebreak.metrics import Estimate, Evaluation, LengthBias, PositionBias, Preference, Slice

VOTED = {"model_a": "A was preferred", "model_b": "B was preferred", "tie": "a tie"}
JUDGED = ("A", "B", "tie")
WIDEST = 34
"""Characters of a source's or a model's name that are shown."""


def print_evaluation(evaluation: Evaluation) -> None:
    """Log loss and accuracy, the other metrics, and what was taken for what."""
    metrics = evaluation.metrics
    results.print(f"[bold]{'':24}{'log loss':>10}{'accuracy':>10}[/]")
    for name, ending in ((pluralize(evaluation.rows, "row"), ""), *((VOTED[o], f"_{o}") for o in OUTCOMES)):
        if f"loss{ending}" in metrics:
            loss, accuracy = metrics[f"loss{ending}"], metrics[f"accuracy{ending}"]
            ranges = f"   {interval(loss, 4)}   {interval(accuracy, 3)}"
            results.print(f"{name:24}{loss.value:>10.4f}{accuracy.value:>10.3f}{escape(ranges).rstrip()}")
    _print_guess(evaluation)
    if evaluation.groups == 1:
        results.print("All rows have one prompt, so there are no intervals: they would be of other prompts.")
    else:
        results.print(
            f"In brackets: {evaluation.level:.0%} intervals, over {pluralize(evaluation.groups, 'prompt')} drawn anew "
            f"{evaluation.resamples:,} times."
        )
    named = (
        ("Brier score (0 to 2)", "brier"),
        ("calibration error", "ece"),
        ("  in equal-mass bins", "ece_equal_mass"),
        ("  by outcome, mean of", "ece_classwise"),
        *((f"    {what}", f"ece_{outcome}") for what, outcome in zip(JUDGED, OUTCOMES, strict=True)),
        ("AUC, mean of", "auc"),
        *((f"    {what} against the rest", f"auc_{outcome}") for what, outcome in zip(JUDGED, OUTCOMES, strict=True)),
    )
    rows = [(name, f"{metrics[key].value:.4f}", interval(metrics[key], 4)) for name, key in named if key in metrics]
    print_table([("probabilities", "", ""), *rows])
    if "auc" in evaluation.undefined:
        results.print(f"There is no AUC: {evaluation.undefined['auc']}.")
    judged = [sum(row[i] for row in evaluation.confusion) for i in range(len(OUTCOMES))]
    print_table(
        [
            ("people / judge", *(f"judged {name}" for name in JUDGED), "of all"),
            *(
                (VOTED[outcome], *(f"{n:,}" for n in row), f"{sum(row) / evaluation.rows:.1%}")
                for outcome, row in zip(OUTCOMES, evaluation.confusion, strict=True)
            ),
            ("of all", *(f"{number / evaluation.rows:.1%}" for number in judged)),
        ]
    )


def _print_guess(evaluation: Evaluation) -> None:
    """What to compare the log loss with, and whether it means anything."""
    guess = f"has a log loss of {evaluation.uniform_loss:.4f}"
    if evaluation.knows_ties:
        results.print(f"A uniform guess {guess}.")
    elif not evaluation.ties:
        results.print(
            f"This judge gives ties a probability of 0, and {evaluation.ties:,} of "
            f"{pluralize(evaluation.rows, 'row')} are ties in whole or in part. A tie costs it "
            f"{-log(MIN_PROBABILITY):.2f} nats, so that the log loss of all rows says how many ties there are, not how "
            f"good it is. Compare the rows where A or B was preferred, where a uniform guess between the two {guess}, "
            f"or take a judge that knows ties (model.tie_model=davidson)."
        )


def print_breakdown(parts: Sequence[Slice]) -> None:
    """How good on which rows; nothing where there is nothing to break down by."""
    rows: list[tuple[str, ...]] = [("", "rows", "log loss", "", "accuracy", "")]
    before = ""
    for part in parts:
        if part.by != before:
            rows.append((f"by {part.by}",))
            before = part.by
        name = part.value if len(part.value) <= WIDEST else part.value[: WIDEST - 1] + "…"
        loss, accuracy = part.loss, part.accuracy
        numbers = f"{loss.value:.4f}", interval(loss, 3), f"{accuracy.value:.3f}", interval(accuracy, 2)
        rows.append((f"  {name}", f"{part.rows:,}", *numbers))
    if parts:
        print_table(rows)


def print_biases(position: PositionBias | None, length: LengthBias, formats: Mapping[str, Preference]) -> None:
    """What sways the judge: length and formats, and the order of the answers where that was looked at."""
    rows = [("win rates", "rows", "judge", "people", "excess", "")]
    for name, rates in (("the longer one", length.longer), *((f"more {name}", p) for name, p in formats.items())):
        if rates.rows:
            means = f"{rates.judge.value:.3f}", f"{rates.people.value:.3f}", f"{rates.excess.value:+.3f}"
            rows.append((name, f"{rates.rows:,}", *means, interval(rates.excess, 3)))
    if len(rows) > 1:
        print_table(rows)
        judge, people = length.controlled_win_rate["judge"], length.controlled_win_rate["people"]
        results.print(
            f"Ties count half. At equal lengths A would win {judge.value:.3f} with the judge, {people.value:.3f} with "
            f"people; as it is, {length.win_rate['judge'].value:.3f} and {length.win_rate['people'].value:.3f}."
        )
    if position is None:
        return
    named = (
        ("both orders agree", position.agreement),
        ("the verdict flips", position.flip_rate),
        ("  whichever comes first wins", position.first_twice),
        ("  whichever comes second wins", position.second_twice),
        ("of the winners, named first", position.first_slot_share),
        ("gain in P(win) by coming first", position.first_slot_gain),
        ("mean |change of P(A)|", position.swap_gap),
        ("mean total variation", position.total_variation),
        ("log loss as given", position.loss["as_given"]),
        ("log loss swapped", position.loss["swapped"]),
        ("log loss of the average", position.loss["average"]),
    )
    found = [(name, f"{e.value:.4f}", interval(e, 4)) for name, e in named if not isnan(e.value)]
    print_table([("the order of the answers", "", ""), *found])


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """A table below an empty line: names, then numbers flush right; no width of a terminal cuts a number off.

    The first row is a head, and so is a row of one cell.
    """
    widths = [max(len(row[i]) for row in rows if len(row) > i) for i in range(len(rows[0]))]
    results.print()
    for number, row in enumerate(rows):
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)),
        ]
        line = escape("  ".join(cells).rstrip())
        results.print(f"[bold]{line}[/]" if number == 0 or len(row) == 1 else line)


def interval(estimate: Estimate, digits: int) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if isnan(estimate.low) else f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
