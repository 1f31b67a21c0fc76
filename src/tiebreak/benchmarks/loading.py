"""Loading the rows of a benchmark from the hub, a folder or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from tiebreak.benchmarks.definitions import Benchmark, Choice, ChoiceBenchmark, Description, PairRule, RewardRule
from tiebreak.benchmarks.labelled_pairs import RULE, score_pairs
from tiebreak.benchmarks.registry import BENCHMARKS
from tiebreak.data import Problem, UnreadableError, load_votes, read_table
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

_SHOWN: Final = 20


@dataclass(frozen=True)
class _Items:
    """What was loaded, apart from the rows."""

    about: Description
    files: tuple[str, ...]
    left_out: str
    """Which rows are left out, and why; empty if none are."""


@dataclass(frozen=True)
class PairItems(_Items):
    """Comparisons to judge in both orders, and the rule that scores the verdicts."""

    rows: tuple[Comparison, ...]
    score: PairRule


@dataclass(frozen=True)
class ChoiceItems(_Items):
    """Prompts with answers that get rewards, and the rule that scores them."""

    rows: tuple[Choice, ...]
    score: RewardRule


Items = PairItems | ChoiceItems


def load_benchmark(name: str, data: Path | None = None) -> Items:
    """A benchmark's rows.

    Args:
        name: one of `BENCHMARKS`, or a file or folder, whose benchmark is recognized by its columns. Any other file of
            votes or of chosen and rejected answers is read as labelled pairs.
        data: a file or folder of the named benchmark, with the layout of the hub or of its own repository; None
            downloads it from the hub, which caches it.

    Raises:
        DataError: there is no such benchmark or file, the download fails, columns are missing, or rows cannot be
            used: a score on a part of a benchmark is not comparable.
    """
    benchmark = BENCHMARKS.get(name)
    if benchmark is not None:
        folder = _from_hub(benchmark) if data is None else data
        return _read(benchmark, folder, _files(folder, benchmark))
    path = Path(name)
    if data is not None or not path.exists():
        close_matches = get_close_matches(name, BENCHMARKS, n=1)
        hint = f" Is it {close_matches[0]}?" if close_matches else ""
        names = ", ".join(BENCHMARKS)
        raise DataError(
            f"There is no benchmark or file {name!r}.{hint} Benchmarks: {names}. Or give a file."
            if data is None
            else f"There is no benchmark {name!r}.{hint} Benchmarks: {names}. For your own file: --benchmark {data}."
        )
    recognised = _recognised(path)
    if recognised is not None:
        return _read(recognised, path, _files(path, recognised))
    try:
        return _own_pairs(path)
    except DataError as error:
        raise DataError(f"{error}{_nearly(path)}") from error


def _from_hub(benchmark: Benchmark) -> Path:
    """Download the files from the hub; returns their folder in the hub's cache."""
    from huggingface_hub import snapshot_download

    source = benchmark.source
    patterns = [pattern.removeprefix("**/") for pattern in source.files]
    try:
        return Path(
            snapshot_download(
                source.repository, repo_type="dataset", revision=source.revision, allow_patterns=patterns
            )
        )  # fmt: skip
    except Exception as error:  # many kinds: no network, no such revision, a gated dataset, a full disk
        elsewhere = f" ({source.elsewhere})" if source.elsewhere else ""
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{benchmark.about.title} cannot be downloaded from the hub (dataset {source.repository}): {reason}\n"
            f"Download it on a machine with access to the hub{elsewhere}, and give the file or folder: "
            f"tiebreak evaluate RUN FOLDER --benchmark {benchmark.about.name}"
        ) from error


def _files(path: Path, benchmark: Benchmark) -> list[Path]:
    """The files to read: the given file, or those of a folder that match the first pattern with any match."""
    if not path.is_dir():
        return [path]
    patterns = benchmark.source.files
    for pattern in patterns:
        files = sorted(file for file in path.glob(pattern) if file.is_file())
        if files:
            return files
    raise DataError(
        f"{path} holds no file of {benchmark.about.title}: expected {patterns[0]}, as in the hub's dataset "
        f"{benchmark.source.repository}. Or give the file itself."
    )


def _recognised(path: Path) -> Benchmark | None:
    """The benchmark whose columns and subsets a file has, or the files of a folder; None if there is none."""
    for benchmark in BENCHMARKS.values():
        try:
            files = _files(path, benchmark)
        except DataError:
            continue
        _, table = read_table(files[0], benchmark.columns)
        if not set(table.columns).issuperset(benchmark.columns):
            continue
        if not benchmark.known_subsets:
            return benchmark
        first = next((row for row in table.rows if not isinstance(row, Problem)), None)
        if first is not None and first.cells.get("subset") in benchmark.known_subsets:
            return benchmark
    if path.is_dir():
        raise DataError(f"{path} holds no files of a known benchmark ({', '.join(BENCHMARKS)}). Give one file.")
    return None


def _nearly(path: Path) -> str:
    """A hint if a file has all columns of a benchmark except for one or two."""
    for benchmark in BENCHMARKS.values():
        columns = set(read_table(path, benchmark.columns)[1].columns)
        missing = [column for column in benchmark.columns if column not in columns]
        if 1 <= len(missing) <= 2 < len(benchmark.columns) - len(missing):
            return f"\nIf it is {benchmark.about.title}, it lacks {' and '.join(missing)}."
    return ""


def _read(benchmark: Benchmark, path: Path, files: Sequence[Path]) -> Items:
    rows: list[Any] = []
    problems: list[str] = []
    unscored = 0
    for file in files:
        _, table = read_table(file, benchmark.columns)
        missing = [column for column in benchmark.columns if column not in table.columns and column != "id"]
        if missing:
            raise DataError(
                f"{file} is not a file of {benchmark.about.title}: it lacks the columns {', '.join(missing)}. Its "
                f"columns are {', '.join(table.columns) or 'none'}."
            )
        inside = str(file.relative_to(path)) if path.is_dir() else str(file)
        for row in table.rows:
            if isinstance(row, Problem):
                problems.append(f"{inside}: {row}")
                continue
            try:
                item = benchmark.read(inside, row.cells)
            except UnreadableError as error:
                problems.append(f"{inside}: {table.unit} {row.line}: {error.column} {error.message}")
                continue
            if item is None:
                unscored += 1
            else:
                rows.append(item)
    if problems:
        more = [f"  and {pluralize(len(problems) - _SHOWN, 'row')} more"] if len(problems) > _SHOWN else []
        raise DataError(
            "\n".join(
                (
                    f"{benchmark.about.title}: {pluralize(len(problems), 'row')} cannot be used. A score on the "
                    "rest would not be comparable:",
                    *(f"  {problem}" for problem in problems[:_SHOWN]),
                    *more,
                )
            )
        )
    if not rows:
        raise DataError(f"{path} has no rows that {benchmark.about.title} is scored on.")
    left_out = f"{pluralize(unscored, 'row')} that the rule does not score" if unscored else ""
    names = tuple(map(str, files))
    if isinstance(benchmark, ChoiceBenchmark):
        return ChoiceItems(benchmark.about, names, left_out, tuple(rows), benchmark.score)
    return PairItems(benchmark.about, names, left_out, tuple(rows), benchmark.score)


def _own_pairs(path: Path) -> PairItems:
    """A file of votes as labelled pairs, without its ties."""
    notes: list[str] = []
    votes = load_votes(path, votes="required", setting=None, on_note=notes.append).comparisons
    counted = [c for c in votes if c.weight]
    if not counted:
        raise DataError(f"{path} gives every row the weight 0, so there is nothing to score.")
    if len(counted) < len(votes):
        notes.append(f"{pluralize(len(votes) - len(counted), 'row')} of weight 0")
    decided = tuple(c for c in counted if c.vote is not None and c.vote[0] != c.vote[1])
    if not decided:
        raise DataError(f"{path} labels every row as a tie, so there is nothing to score.")
    if len(decided) < len(counted):
        notes.append(f"{pluralize(len(counted) - len(decided), 'row')} labelled a tie")
    about = Description(str(path), f"Labelled pairs in {path.name}", RULE)
    return PairItems(about, (str(path),), "; ".join(notes), decided, score_pairs)
