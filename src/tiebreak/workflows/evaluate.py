"""How well a judge predicts votes: metrics with intervals, slices, biases, and baselines on the same rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from tiebreak.data import ProblemRows, from_frame, load_votes
from tiebreak.errors import ComparisonsError, DataError, RunError
from tiebreak.formatting import pluralize
from tiebreak.judges import Judge, Merge, Swap, Verdict, load_judge, probability_array
from tiebreak.metrics import (
    LengthBias,
    Preference,
    Slice,
    answer_lengths,
    format_bias,
    format_counts,
    length_bias,
    position_bias,
    slice_metrics,
)
from tiebreak.metrics import evaluate as evaluate_probabilities
from tiebreak.progress import cumulative_progress
from tiebreak.runs import Orders, RunFolder, write_orders
from tiebreak.types import A_WINS, Comparison, Vote
from tiebreak.weights import row_weights, validate_weights
from tiebreak.workflows.comparison import compare_judges, compare_with_baselines
from tiebreak.workflows.evaluation_result import EvaluationResult
from tiebreak.workflows.orders import is_symmetric
from tiebreak.workflows.predictions import is_calibrated_later, read_calibration, read_run_predictions
from tiebreak.workflows.validation_rows import find_validation_rows
from tiebreak.workflows.vote_overlap import measure_training_overlap

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

logger = logging.getLogger(__name__)


def evaluate(
    judge: Judge | str | Path,
    votes: str | Path | Sequence[Comparison] | pd.DataFrame | None = None,
    *,
    swap: Swap = "none",
    bias: bool = False,
    baselines: bool = False,
    calibrate: bool = True,
    problem_rows: ProblemRows = "refuse",
    base_model: str | None = None,
    merge: Merge | None = None,
    device: str | None = None,
    log: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> EvaluationResult:
    """Judge votes and measure how well the judge predicts them.

        >>> from tiebreak import evaluate
        >>> result = evaluate("runs/demo", "votes.csv")                        # doctest: +SKIP
        >>> result.metrics["loss"].value, result.metrics["accuracy"].value     # doctest: +SKIP
        (0.0412, 0.988)

    Args:
        judge: a run's folder, or a loaded judge.
        votes: a file (CSV, JSONL, Parquet), comparisons with votes, or a data frame with the columns of a file. By
            default the run's own validation rows.
        swap: as in `Judge.compare_many`.
        bias: judge in both orders and measure the position bias. For the run's own validation rows the probabilities
            are kept in its `orders.parquet`, where `tiebreak report` reads them.
        baselines: also measure baselines, fitted to the run's training votes and kept in its `baselines/` folder.
        calibrate: as in `load_judge`; ignored for a loaded judge, as are `base_model`, `merge` and `device`.
        problem_rows: for a file, what to do with rows that cannot be used (`tiebreak.data.ProblemRows`).
        base_model: as in `load_judge`.
        merge: as in `load_judge`.
        device: as in `load_judge`.
        log: called with one sentence at a time.
        on_progress: called with the number of texts judged so far, and the total.

    Raises:
        DataError: the votes cannot be read, a row has no vote, or there are no rows.
        RunError: there is no finished run, or a loaded judge is given where a run is needed.
        ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    run = None if isinstance(judge, Judge) else RunFolder(judge)
    _check_run(run, baselines=baselines)
    comparisons, source = _find_votes(run, votes, problem_rows, log)
    weights = _row_weights(comparisons, log)
    overlap = None if run is None else measure_training_overlap(run, [row.opening_prompt for row in comparisons], log)
    loaded = judge if isinstance(judge, Judge) else load_judge(
        judge, base_model=base_model, merge=merge, device=device, calibrate=calibrate, log=log
    )  # fmt: skip
    probabilities, orders = _judge(loaded, comparisons, swap, bias, log, on_progress)
    if run is not None and votes is None and orders is not None and merge is None:
        _keep_orders(run, comparisons, orders, calibrate)
    result = measure(probabilities, [row.required_vote() for row in comparisons], comparisons, orders, weights)
    others = compare_with_baselines(run, probabilities, comparisons, log) if baselines and run else ()
    name = str(run) if run else None
    return replace(result, run=name, data=source, swap=swap, comparisons=others, training_overlap=overlap)


def measure(
    probabilities: NDArray[np.float64],
    votes: Sequence[Vote],
    comparisons: Sequence[Comparison] | None = None,
    orders: Orders | None = None,
    weights: ArrayLike | None = None,
) -> EvaluationResult:
    """Measure probabilities against votes.

    Intervals resample whole prompts if the comparisons are known, else single rows.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        votes: [rows].
        comparisons: [rows], whose own votes and weights are not read; None if the texts are not known. Then there are
            no slices, and no biases of length and format.
        orders: probabilities in both orders, for the position bias.
        weights: [rows], how much each row counts; None if all count the same. Rows of weight 0 are left out.

    Raises:
        ComparisonsError: as in `tiebreak.metrics.evaluate`, or all weights are 0.
    """
    w = validate_weights(weights, len(votes))
    if w is not None and not w.all():
        kept = np.flatnonzero(w)
        if not kept.size:
            raise ComparisonsError("All rows have weight 0, so there is nothing to measure: give weights above 0.")
        rows = kept.tolist()
        return measure(
            probabilities[kept],
            [votes[i] for i in rows],
            None if comparisons is None else [comparisons[i] for i in rows],
            None if orders is None else Orders(orders.as_given[kept], orders.swapped[kept]),
            w[kept],
        )
    groups = None if comparisons is None else [row.folded_prompt for row in comparisons]
    slices: tuple[Slice, ...] = ()
    length: LengthBias | None = None
    formats: dict[str, Preference] = {}
    if comparisons is not None:
        voted = [replace(row, vote=vote) for row, vote in zip(comparisons, votes, strict=True)]
        slices = slice_metrics(probabilities, voted, weights=w)
        length = length_bias(probabilities, votes, *answer_lengths(comparisons), groups, weights=w)
        formats = format_bias(probabilities, votes, format_counts(comparisons), groups, weights=w)
    return EvaluationResult(
        run=None,
        data=None,
        swap="none",
        evaluation=evaluate_probabilities(probabilities, votes, groups, weights=w),
        slices=slices,
        position_bias=(
            None if orders is None else position_bias(orders.as_given, orders.swapped, votes, groups, weights=w)
        ),
        length_bias=length,
        guesses=tuple(compare_judges(probabilities, votes, {}, groups, w)),
        format_bias=formats,
    )


def load_labelled_votes(
    path: str | Path, *, problem_rows: ProblemRows, setting: str, log: Callable[[str], None]
) -> list[Comparison]:
    """The comparisons of a file of votes; what was left out, repaired or decided for the file is logged.

    Args:
        path: CSV, JSONL or Parquet.
        problem_rows: what to do with rows that cannot be used.
        setting: as in `tiebreak.data.load_votes`.
        log: called with one sentence at a time.

    Raises:
        DataError: the file cannot be read, or has rows that `problem_rows` does not allow.
    """
    file = load_votes(path, votes="required", problem_rows=problem_rows, setting=setting, on_note=log)
    if file.layout == "chosen-rejected":
        first = sum(row.vote == A_WINS for row in file.comparisons)
        log(
            f"A hash of each row decides on which side its chosen answer is judged: A in {first:,} rows, B in "
            f"{len(file.comparisons) - first:,}."
        )
    return list(file.comparisons)


def truncation_message(tokens_lost: Sequence[int]) -> str | None:
    """How many comparisons were truncated; None if none was.

    Args:
        tokens_lost: [comparisons], as in `Verdict`.
    """
    truncated = [n for n in tokens_lost if n]
    if not truncated:
        return None
    return (
        f"{len(truncated):,} of {pluralize(len(tokens_lost), 'comparison')} truncated: {sum(truncated):,} tokens were "
        "not read."
    )


def _find_votes(
    run: RunFolder | None,
    votes: str | Path | Sequence[Comparison] | pd.DataFrame | None,
    problem_rows: ProblemRows,
    log: Callable[[str], None],
) -> tuple[list[Comparison], str | None]:
    """The comparisons, and the name of the file that they came from."""
    if votes is None:
        if run is None:
            raise DataError("There are no votes to evaluate on: a loaded judge needs `votes`.")
        rows = find_validation_rows(run, read_run_predictions(run.path).ids)
        return rows.comparisons, rows.source or str(run.validation_rows)
    if isinstance(votes, (str, os.PathLike)):
        return load_labelled_votes(votes, problem_rows=problem_rows, setting="problem_rows=", log=log), str(votes)
    comparisons = list(
        cast("Sequence[Comparison]", votes) if isinstance(votes, Sequence) else from_frame(votes, votes="required")
    )
    unlabelled = sum(row.vote is None for row in comparisons)
    if unlabelled:
        raise DataError(f"{unlabelled:,} of {len(comparisons):,} comparisons have no vote. Leave them out.")
    if not comparisons:
        raise DataError("There are no votes to evaluate on: give at least one comparison with a vote.")
    return comparisons, None


def _judge(
    judge: Judge,
    comparisons: Sequence[Comparison],
    swap: Swap,
    bias: bool,
    log: Callable[[str], None],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[NDArray[np.float64], Orders | None]:
    """Probabilities [rows, 3], and those of both orders if `bias` asks for them and the judge reads pairs."""
    both = bias and not judge.gives_rewards
    partly = swap not in ("none", "average")
    total = judge.texts(len(comparisons), "average") if both else 0
    total += judge.texts(len(comparisons), swap) if partly or not both else 0
    count = None if on_progress is None else cumulative_progress(total, on_progress)
    if not both:
        verdicts = judge.compare_many(comparisons, swap=swap, on_progress=count)
        _log_truncation(verdicts, log)
        return probability_array(verdicts), None
    first, second = zip(*judge.compare_orders(comparisons, on_progress=count), strict=True)
    orders = Orders(probability_array(first), probability_array(second))
    _log_truncation(first, log)
    if partly:
        return probability_array(judge.compare_many(comparisons, swap=swap, on_progress=count)), orders
    if swap == "average":
        return (orders.as_given + orders.swapped) / 2, orders
    return orders.as_given, orders


def _row_weights(comparisons: Sequence[Comparison], log: Callable[[str], None]) -> NDArray[np.float64] | None:
    """The weights of the rows; None if all are 1. How many are 0 is logged."""
    weights = row_weights(comparisons)
    weightless = 0 if weights is None else int((weights == 0).sum())
    rows = pluralize(len(comparisons), "row")
    if weightless == len(comparisons):
        raise DataError(f"All {rows} have weight 0, so there is nothing to measure: give weights above 0.")
    if weightless:
        log(f"{weightless:,} of {rows} have weight 0: they are judged, but not measured.")
    return weights


def _log_truncation(verdicts: Sequence[Verdict], log: Callable[[str], None]) -> None:
    message = truncation_message([verdict.tokens_lost for verdict in verdicts])
    if message is not None:
        log(message)


def _keep_orders(run: RunFolder, comparisons: Sequence[Comparison], orders: Orders, calibrate: bool) -> None:
    """Write `orders.parquet`, if these probabilities are calibrated as the run's predictions are."""
    if is_symmetric(run) or (read_calibration(run) is not None and calibrate == is_calibrated_later(run)):
        return
    write_orders(run, [row.id for row in comparisons], orders)


def _check_run(run: RunFolder | None, *, baselines: bool) -> None:
    """Raise RunError if the run is not trained, or there are no votes to fit baselines to."""
    if run is not None:
        run.check_trained()
    if not baselines:
        return
    if run is None:
        raise RunError("Baselines are fitted to the votes that a run learned from. Give the run's folder, not a judge.")
    if not run.predictions.is_file():
        raise RunError(
            f"Baselines are fitted to the votes that a run learned from, and {run} names none ({run.predictions} is "
            "missing). Leave out --baselines (baselines=False)."
        )
