"""How often the intervals that `tiebreak evaluate` prints contain the true value, by simulation.

    python -m perf.interval_coverage --runs 1000

Each run simulates new rows, votes and prompts. The true value of a metric is its value on a sample of 50,000
rows. For calibration errors, whose intervals are those of a calibrated judge, it is how often the error of a
calibrated judge is inside. Prints one table per number of rows, in per cent, for each scenario.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics import Estimate, evaluate, length_bias, position_bias
from tiebreak.types import Vote
from tiebreak.workflows.comparison import compare_judges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Simulation = Callable[[np.random.Generator, int], "Sample"]

SIZES: Final = (50, 200, 1000)
TRUTH_ROWS: Final = 50_000
MIN_INTERVALS: Final = 100
BIN: Final = "reliability bin"


@dataclass(frozen=True)
class Sample:
    """Simulated rows."""

    judge: NDArray[np.float64]
    """[rows, 3], the judge's probabilities."""
    swapped: NDArray[np.float64]
    """[rows, 3], those of the other order."""
    votes: NDArray[np.float64]
    """[rows, 3]."""
    lengths: NDArray[np.float64]
    """[2, rows]."""
    groups: list[str] | None


def simulate(
    rng: np.random.Generator,
    rows: int,
    *,
    temperature: float = 1.0,
    concentration: tuple[float, float, float] = (1.5, 1.5, 1.0),
    clustered: bool = False,
    voters: int = 1,
) -> Sample:
    """A judge that knows the true probabilities q, and says q ** (1 / temperature), normalised.

    Args:
        rng: the random numbers.
        rows: how many.
        temperature: below 1 for a judge that is too confident.
        concentration: of the Dirichlet distribution of q.
        clustered: whether there are 1 to 5 rows per prompt, of which each is with probability 1/2 a copy of the first.
        voters: votes per row; a row's vote is their mean.
    """
    q = rng.dirichlet(concentration, rows)
    noise = rng.normal(scale=0.3, size=(rows, 3))
    t = rng.uniform(-0.9, 0.9, rows)
    source = np.arange(rows)
    prompts = None
    if clustered:
        sizes = rng.integers(1, 6, size=rows)
        numbers = np.repeat(np.arange(rows), sizes)[:rows]
        first = np.r_[0, np.cumsum(sizes)][numbers]
        source = np.where(rng.random(rows) < 0.5, first, source)
        prompts = [str(number) for number in numbers]
    tilt = np.stack([0.6 * t, -0.6 * t, 0 * t], axis=1)
    truth = _normalise(q * np.exp(tilt))
    votes = np.mean(
        [np.eye(3)[(rng.random(rows)[:, None] > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2)] for _ in range(voters)],
        axis=0,
    )
    judge = _normalise(truth ** (1 / temperature))
    swapped = _normalise(judge * np.exp(noise) * np.array([0.85, 1.15, 1.0]))
    lengths = np.stack([100 * (1 + t), 100 * (1 - t)])
    return Sample(judge[source], swapped[source], votes[source], lengths[:, source], prompts)


def _normalise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    normalised: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)
    return normalised


def simulate_confident(rng: np.random.Generator, rows: int, *, stated: float = 0.98) -> Sample:
    """A judge whose most likely outcome is right in 98 % of rows, and which says so with the stated probability."""
    p = np.full((rows, 3), (1 - stated) / 2)
    side = rng.integers(2, size=rows)
    p[np.arange(rows), side] = stated
    p = _normalise(p * np.exp(rng.normal(scale=0.1, size=(rows, 3))))
    right = rng.random(rows) < 0.98
    voted = np.where(right, side, np.where(rng.random(rows) < 0.5, 2, 1 - side))
    t = rng.uniform(-0.9, 0.9, rows)
    return Sample(p, p[:, [0, 1, 2]], np.eye(3)[voted], np.stack([100 * (1 + t), 100 * (1 - t)]), None)


SCENARIOS: Final[dict[str, Simulation]] = {
    "calibrated": simulate,
    "too confident": lambda rng, rows: simulate(rng, rows, temperature=0.5),
    "1 to 5 votes a prompt": lambda rng, rows: simulate(rng, rows, clustered=True),
    "soft votes": lambda rng, rows: simulate(rng, rows, voters=4),
    "98 % right": simulate_confident,
    "98 % right, says 99.8 %": lambda rng, rows: simulate_confident(rng, rows, stated=0.998),
}


def measures(sample: Sample, *, resamples: int = 200) -> Iterator[tuple[str, object, Estimate]]:
    """Each printed estimate with the name of its row in the table, and a key that sets it apart in the row."""
    votes: list[Vote] = [(a, b, tie) for a, b, tie in sample.votes.tolist()]
    result = evaluate(sample.judge, votes, sample.groups, resamples=resamples)
    for name, estimate in result.metrics.items():
        if not name.startswith("ece") and not (name == "auc" and result.undefined):
            yield name, 0, estimate
    for curve in result.curves[:4]:
        for one in curve.bins:
            size = "1-4" if one.rows < 5 else "5-29" if one.rows < 30 else "30 or more"
            ends = (np.nan if end is None else end for end in (one.observed_low, one.observed_high))
            yield f"{BIN} of {size} rows", (curve.of, one.lower), Estimate(one.observed, *ends)
    position = position_bias(sample.judge, sample.swapped, votes, sample.groups)
    for name in ("swap_gap", "total_variation", "first_slot_gain", "flip_rate", "first_slot_share", "first_twice"):
        yield f"position: {name}", 0, getattr(position, name)
    length = length_bias(sample.judge, votes, sample.lengths[0], sample.lengths[1], sample.groups)
    for name in ("judge", "people", "excess"):
        yield f"longer answer: {name}", 0, getattr(length.longer, name)
        yield f"length slope: {name}", 0, length.slope[name]
    yield "length correlation: people", 0, length.correlation["people"]
    yield "win rate at equal lengths: people", 0, length.controlled_win_rate["people"]
    for other in compare_judges(sample.judge, votes, {"other": sample.swapped}, sample.groups):
        if other.name in ("other", "a uniform guess"):
            yield f"gain over {other.name}", 0, other.gain


def _size(name: str) -> str:
    """The part of a row's name that is the size of a bin, which does not change its true value."""
    return name.removeprefix(BIN) if name.startswith(BIN) else ""


def coverage(simulation: Simulation, rows: int, runs: int, truths: dict[tuple[str, object], float]) -> dict[str, float]:
    """The share of intervals that contain the true value, by the name of the row."""
    inside: dict[str, list[bool]] = {}
    for run in range(runs):
        sample = simulation(np.random.default_rng([run, rows]), rows)
        for name, key, estimate in measures(sample, resamples=1):
            truth = truths.get((name.removesuffix(_size(name)), key))
            if np.isfinite(estimate.low) and truth is not None:
                inside.setdefault(name, []).append(estimate.low - 1e-9 <= truth <= estimate.high + 1e-9)
    return {name: float(np.mean(of)) for name, of in inside.items() if len(of) >= MIN_INTERVALS}


def calibrated_inside(simulation: Simulation, rows: int, runs: int) -> dict[str, float]:
    """How often the calibration error of a judge is inside the range of a calibrated one."""
    inside: dict[str, list[bool]] = {}
    for run in range(runs):
        sample = simulation(np.random.default_rng([run, rows, 1]), rows)
        votes: list[Vote] = [(a, b, tie) for a, b, tie in sample.votes.tolist()]
        result = evaluate(sample.judge, votes, sample.groups, resamples=400)
        for name, expected in result.expected_if_calibrated.items():
            error = result.metrics[name].value
            inside.setdefault(name, []).append(expected.low - 1e-9 <= error <= expected.high + 1e-9)
    return {name: float(np.mean(of)) for name, of in inside.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    truths: dict[str, dict[tuple[str, object], float]] = {}
    for name, simulation in SCENARIOS.items():
        sample = simulation(np.random.default_rng(1), TRUTH_ROWS)
        truths[name] = {(row.removesuffix(_size(row)), key): e.value for row, key, e in measures(sample, resamples=1)}
    for rows in arguments.rows:
        columns = {
            name: coverage(simulation, rows, arguments.runs, truths[name])
            | (calibrated_inside(simulation, rows, arguments.runs) if _is_calibrated(name) else {})
            for name, simulation in SCENARIOS.items()
        }
        print(f"\n{rows:,} rows, {arguments.runs:,} runs: intervals that contain the true value, in per cent\n")
        print("| |", " | ".join(columns), "|\n|---" + "|---:" * len(columns) + "|")
        for row in dict.fromkeys(row for column in columns.values() for row in column):
            cells = [f"{100 * column[row]:.1f}" if row in column else "" for column in columns.values()]
            print(f"| {row} |", " | ".join(cells), "|", flush=True)


def _is_calibrated(scenario: str) -> bool:
    return scenario not in ("too confident", "98 % right, says 99.8 %")


if __name__ == "__main__":
    main()
