"""An evaluation as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, log
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from tiebreak.cli.console import results
from tiebreak.formatting import pluralize
from tiebreak.metrics.log_loss import MIN_PROBABILITY
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from tiebreak.metrics import Estimate, Evaluation, LengthBias, PositionBias, Preference, Slice
    from tiebreak.workflows.comparison import JudgeComparison
    from tiebreak.workflows.evaluation_result import EvaluationResult

VOTED: Final = {"model_a": "A was preferred", "model_b": "B was preferred", "tie": "a tie"}
SIDES: Final = ("A", "B", "tie")
MAX_NAME_LENGTH: Final = 34
"""Characters of a source's or a model's name that are shown."""


def print_result(result: EvaluationResult) -> None:
    """The verdict and all tables of an evaluation."""
    verdict = result.verdict
    results.print(f"[bold]{escape(verdict.headline)}[/]{' ' + verdict.remedy if verdict.remedy else ''}\n")
    print_evaluation(result.evaluation)
    print_comparisons(result.comparisons)
    print_slices(result.slices)
    print_biases(result.position_bias, result.length_bias, result.format_bias)


def print_evaluation(evaluation: Evaluation) -> None:
    """Log loss and accuracy, the other metrics, and the confusion matrix."""
    metrics = evaluation.metrics
    results.print(f"[bold]{'':24}{'log loss':>10}{'accuracy':>10}[/]")
    for name, suffix in ((pluralize(evaluation.rows, "row"), ""), *((VOTED[o], f"_{o}") for o in OUTCOMES)):
        if f"loss{suffix}" in metrics:
            loss, accuracy = metrics[f"loss{suffix}"], metrics[f"accuracy{suffix}"]
            intervals = f"   {interval(loss, 4)}   {interval(accuracy, 3)}"
            results.print(f"{name:24}{loss.value:>10.4f}{accuracy.value:>10.3f}{escape(intervals).rstrip()}")
    _print_uniform_guess(evaluation)
    if evaluation.weights is not None:
        results.print(f"Rows are weighted: {evaluation.weights}.")
    if evaluation.groups == 1:
        results.print("All rows have one prompt, so there are no intervals.")
    else:
        results.print(f"In brackets: {evaluation.level:.0%} intervals over {pluralize(evaluation.groups, 'prompt')}.")
    _print_metrics(evaluation)
    _print_confusion_matrix(evaluation)


def _print_uniform_guess(evaluation: Evaluation) -> None:
    """The log loss to compare with, and for a judge without ties what its log loss means."""
    guess = f"has a log loss of {evaluation.uniform_loss:.4f}"
    if evaluation.knows_ties:
        results.print(f"A uniform guess {guess}.")
    elif not evaluation.ties:
        results.print(f"This judge gives ties a probability of 0. A uniform guess between A and B {guess}.")
    else:
        results.print(
            f"This judge gives ties a probability of 0, and {evaluation.ties:,} of "
            f"{pluralize(evaluation.rows, 'row')} are ties in whole or in part. A tie costs it "
            f"{-log(MIN_PROBABILITY):.2f} nats, so the log loss of all rows shows how many ties there are, not how "
            f"good the judge is. Compare the rows where A or B was preferred, where a uniform guess between the two "
            f"{guess}, or train a judge that predicts ties (model.tie_model=davidson)."
        )


def _print_metrics(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics
    named = (
        ("Brier score (0 to 2)", "brier"),
        ("calibration error", "ece"),
        ("  in equal-mass bins", "ece_equal_mass"),
        ("  by outcome, mean of", "ece_classwise"),
        *((f"    {side}", f"ece_{outcome}") for side, outcome in zip(SIDES, OUTCOMES, strict=True)),
        ("AUC, mean of", "auc"),
        *((f"    {side} against the rest", f"auc_{outcome}") for side, outcome in zip(SIDES, OUTCOMES, strict=True)),
    )
    rows = [
        (name, f"{metrics[key].value:.4f}", _interval_or_null(evaluation, key)) for name, key in named if key in metrics
    ]
    print_table([("probabilities", "", ""), *rows])
    if evaluation.expected_if_calibrated:
        results.print(
            "A calibrated judge has a calibration error above 0 as well, because votes are few. Its mean and "
            f"{evaluation.level:.0%} range are to the right."
        )
    if "auc" in evaluation.undefined:
        results.print(f"The AUC is undefined: {evaluation.undefined['auc']}.")


def _interval_or_null(evaluation: Evaluation, metric: str) -> str:
    """The interval of a metric, or for a calibration error what a calibrated judge gets."""
    expected = evaluation.expected_if_calibrated.get(metric)
    if expected is None:
        return interval(evaluation.metrics[metric], 4)
    return f"calibrated {expected.value:.4f} {interval(expected, 4)}"


def _print_confusion_matrix(evaluation: Evaluation) -> None:
    judged = [sum(row[i] for row in evaluation.confusion) for i in range(len(OUTCOMES))]
    total = sum(judged)
    count = "{:,}" if evaluation.weights is None else "{:,.1f}"
    print_table(
        [
            ("people / judge", *(f"judged {side}" for side in SIDES), "of all"),
            *(
                (VOTED[outcome], *(count.format(n) for n in row), f"{sum(row) / total:.1%}")
                for outcome, row in zip(OUTCOMES, evaluation.confusion, strict=True)
            ),
            ("of all", *(f"{number / total:.1%}" for number in judged)),
        ]
    )


def print_comparisons(comparisons: Sequence[JudgeComparison]) -> None:
    """Baselines and guesses on the same rows; nothing if there are none."""
    rows: list[tuple[str, ...]] = [("baselines", "log loss", "", "accuracy", "gain of the run", "")]
    for other in comparisons:
        accuracy = "" if other.accuracy is None else f"{other.accuracy.value:.3f}"
        numbers = f"{other.loss.value:.4f}", interval(other.loss, 4), accuracy
        rows.append((other.name, *numbers, f"{other.gain.value:+.4f}", interval(other.gain, 4)))
    if comparisons:
        print_table(rows)


def print_slices(slices: Sequence[Slice]) -> None:
    """Log loss and accuracy by slice; nothing if there are none."""
    rows: list[tuple[str, ...]] = [("", "rows", "log loss", "", "accuracy", "")]
    heading = ""
    for part in slices:
        if part.by != heading:
            rows.append((f"by {part.by}",))
            heading = part.by
        name = part.value if len(part.value) <= MAX_NAME_LENGTH else part.value[: MAX_NAME_LENGTH - 1] + "…"
        loss, accuracy = part.loss, part.accuracy
        numbers = f"{loss.value:.4f}", interval(loss, 3), f"{accuracy.value:.3f}", interval(accuracy, 2)
        rows.append((f"  {name}", f"{part.rows:,}", *numbers))
    if slices:
        print_table(rows)


def print_biases(position: PositionBias | None, length: LengthBias | None, formats: Mapping[str, Preference]) -> None:
    """Win rates of longer and more formatted answers, and the position bias if it was measured."""
    preferences = {f"more {name}": preference for name, preference in formats.items()}
    if length is not None:
        preferences = {"the longer one": length.longer, **preferences}
    rows = [("win rates", "rows", "judge", "people", "excess", "")]
    for name, p in preferences.items():
        if p.rows:
            rates = f"{p.judge.value:.3f}", f"{p.people.value:.3f}", f"{p.excess.value:+.3f}"
            rows.append((name, f"{p.rows:,}", *rates, interval(p.excess, 3)))
    if len(rows) > 1 and length is not None:
        print_table(rows)
        controlled, raw = length.controlled_win_rate, length.win_rate
        results.print(
            f"A tie counts half. A wins {raw['judge'].value:.3f} with the judge and {raw['people'].value:.3f} with "
            f"people; at equal lengths {controlled['judge'].value:.3f} and {controlled['people'].value:.3f}."
        )
    if position is not None:
        _print_position_bias(position)


def _print_position_bias(position: PositionBias) -> None:
    named = (
        ("both orders agree", position.agreement),
        ("the verdict flips", position.flip_rate),
        ("  first answer wins in both orders", position.first_twice),
        ("  second answer wins in both orders", position.second_twice),
        ("winner comes first", position.first_slot_share),
        ("gain in P(win) from coming first", position.first_slot_gain),
        ("mean |change of P(A)|", position.swap_gap),
        ("mean total variation", position.total_variation),
        ("log loss as given", position.loss["as_given"]),
        ("log loss swapped", position.loss["swapped"]),
        ("log loss of the average", position.loss["average"]),
    )
    rows = [(name, f"{e.value:.4f}", interval(e, 4)) for name, e in named if not isnan(e.value)]
    print_table([("the order of the answers", "", ""), *rows])


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """A table after an empty line: names, then right-aligned numbers, which are never cut to the terminal's width.

    The first row is a heading, and so is every row of one cell.
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
    """The interval in brackets; empty if there is none."""
    return "" if isnan(estimate.low) else f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
