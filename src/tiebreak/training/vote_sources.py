"""The votes that `data.train` names: one source, or several files and data sets read as one."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from tiebreak.data import check_votes_path, load_comparisons, near_names, sample_by_prompt
from tiebreak.dataset_names import parse_dataset_name
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.prompt_folding import CURRENT_FOLD, FOLDS
from tiebreak.recipe import DataSection, VotesSource
from tiebreak.recipe.sources import TrainVotes
from tiebreak.types import Comparison

FILES_KEY: Final = "train_files"
"""In `environment.json`: the files of `data.train` with their rows, if it names several."""


@dataclass(frozen=True)
class SourceRows:
    """One of several files or data sets of a run, and how many of its rows are used."""

    path: str
    name: str
    """What the ids of its rows begin with."""
    rows: int
    """Rows that can be used."""
    used: int
    """Rows that are used, in training, validation and calibration."""
    weight: float = 1.0
    """What the weight of each row is multiplied by."""

    def __str__(self) -> str:
        part = f"{self.used:,} of " if self.used < self.rows else ""
        weight = "" if self.weight == 1 else f", weight {self.weight:g}"
        return f"{self.name} ({part}{pluralize(self.rows, 'row')}{weight})"


def load_train_rows(
    settings: DataSection, log: Callable[[str], None], fold: int = CURRENT_FOLD
) -> tuple[list[Comparison], tuple[SourceRows, ...]]:
    """The votes of `data.train`, and of several files or data sets the rows of each; none for a single one.

    Rows of a list or a glob get ids of the form `NAME:ID`, also if only one file matches: NAME is that of the file
    without its ending, or more of its path where that is not unique. Rows without a `source` get NAME as their source.
    They are in the order of the list, and a glob's files in that of their names.

    Args:
        settings: the recipe's `data` section.
        log: called with one note on the votes at a time.
        fold: the number in `FOLDS` by which prompts are compared.

    Raises:
        DataError: a file is missing or named twice, or its votes cannot be used.
        TiebreakError: the library to read a data set with is not installed.
    """
    assert settings.train is not None
    if isinstance(settings.train, Path) and not _is_glob(settings.train):
        return load_rows(settings.train, settings, log), ()
    rows: list[Comparison] = []
    files: list[SourceRows] = []
    sources = expand_sources(settings.train)
    for source, name in zip(sources, unique_names([source.path for source in sources]), strict=True):
        loaded = load_rows(source.path, settings, log)
        try:
            used = sample_by_prompt(loaded, share=source.share, seed=settings.seed, fold=FOLDS[fold])
        except DataError as error:
            raise DataError(f"{source.path}: {error}") from None
        rows += (_named(row, name, source.weight) for row in used)
        files.append(SourceRows(str(source.path), name, len(loaded), len(used), source.weight))
    log(f"Votes of {pluralize(len(files), 'file')}: {', '.join(map(str, files))}.")
    _log_duplicates(rows, [file.used for file in files], log)
    return rows, tuple(files)


def expand_sources(train: TrainVotes) -> list[VotesSource]:
    """The sources with each glob replaced by the files that match it.

    Raises:
        DataError: a glob matches no file, or a file is named twice.
    """
    sources = [VotesSource(path=train)] if isinstance(train, Path) else train
    expanded: list[VotesSource] = []
    named_by: dict[str, Path] = {}
    for source in sources:
        for path in _matches(source.path) if _is_glob(source.path) else [source.path]:
            real = _identity(path)
            if real in named_by:
                raise DataError(
                    f"data.train names {path} twice: by {named_by[real]} and by {source.path}. Remove one of them; to "
                    "count its rows twice, give it a weight of 2."
                )
            named_by[real] = source.path
            expanded.append(source.model_copy(update={"path": path}))
    return expanded


def _identity(path: Path) -> str:
    """The same text for two spellings of a file, or of a split: `org/name` reads `train` unless that is missing."""
    name = parse_dataset_name(str(path))
    if name is None:
        return str(path.resolve()) if path.exists() else str(path)
    location = str(Path(name.location).resolve()) if name.is_local else name.location
    return f"{location}:{name.config or 'default'}:{name.split or 'train'}"


def check_sources(settings: DataSection) -> None:
    """Check that the files of a recipe exist and have known endings, before other work starts.

    Raises:
        DataError: a file is missing, of unknown format, or named twice.
        TiebreakError: the library to read a data set with is not installed.
    """
    train = [] if settings.train is None else [source.path for source in expand_sources(settings.train)]
    for path in (*train, settings.validation, settings.calibration):
        if path is not None:
            check_votes_path(path)


def source_files(settings: DataSection) -> Iterator[Path]:
    """The local files of a recipe's votes that are there; those of a data set in a folder too."""
    train = () if settings.train is None else (settings.train,) if isinstance(settings.train, Path) else settings.train
    paths = [source if isinstance(source, Path) else source.path for source in train]
    for path in (*paths, settings.validation, settings.calibration):
        if path is None:
            continue
        for found in _glob(path) if _is_glob(path) else [path]:
            name = parse_dataset_name(str(found))
            folder = found if name is None else Path(name.location)
            yield from (file for file in (folder.rglob("*") if folder.is_dir() else [folder]) if file.is_file())


def train_name(train: TrainVotes) -> str:
    """A short name of the votes: those of the files, data sets and globs as the recipe lists them."""
    return train.name if isinstance(train, Path) else ", ".join(source.path.name for source in train)


def train_source(train: TrainVotes) -> str:
    """The same with whole paths."""
    return str(train) if isinstance(train, Path) else ", ".join(str(source.path) for source in train)


def files_record(files: Sequence[SourceRows]) -> dict[str, Any]:
    """What `environment.json` keeps of several files; nothing for a single one."""
    return {FILES_KEY: [asdict(file) for file in files]} if files else {}


def describe_train(train: TrainVotes, environment: Mapping[str, Any]) -> str:
    """As `train_name`; for several files every one of them, with its rows, if the run's `environment.json` has them."""
    files = environment.get(FILES_KEY)
    return train_name(train) if not files else ", ".join(str(SourceRows(**file)) for file in files)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """For each path its name without the ending; with ending, and then with folders, where several are equal."""
    candidates = [_names(path) for path in paths]
    depths = [0] * len(paths)
    while True:
        names = [options[min(depth, len(options) - 1)] for options, depth in zip(candidates, depths, strict=True)]
        by_name: dict[str, list[int]] = defaultdict(list)
        for i, name in enumerate(names):
            by_name[name].append(i)
        equal = [i for group in by_name.values() if len(group) > 1 for i in group]
        if not equal or all(depths[i] >= len(candidates[i]) - 1 for i in equal):
            return names
        for i in equal:
            depths[i] += 1


def _names(path: Path) -> list[str]:
    stem = path.name
    for ending in (".gz", ".csv", ".jsonl", ".json", ".parquet"):
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
    parts = path.parts
    return [stem, *("/".join(parts[-count:]) for count in range(1, len(parts) + 1))]


def _is_glob(path: Path) -> bool:
    return glob.has_magic(str(path)) and not path.exists()


def _glob(pattern: Path) -> list[Path]:
    found = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207  # Path.glob matches hidden files too
    return sorted(path for path in found if path.is_file())


def _matches(pattern: Path) -> list[Path]:
    found = _glob(pattern)
    if not found:
        raise DataError(
            f"{pattern} matches no file: check the pattern; relative ones start at {Path.cwd()}.{near_names(pattern)}"
        )
    return found


def load_rows(path: Path, settings: DataSection, log: Callable[[str], None]) -> list[Comparison]:
    """The votes of one file or data set, read as the recipe says; raises DataError as `load_comparisons` does."""
    votes = load_comparisons(
        path,
        votes="required",
        problem_rows=settings.problem_rows,
        columns=settings.columns,
        tool_calls=settings.tool_calls,
        on_note=log,
    )
    return list(votes)


def _named(row: Comparison, name: str, weight: float) -> Comparison:
    tags = row.tags
    if "source" not in dict(tags):
        tags = tuple(sorted((*tags, ("source", name))))
    return replace(row, id=f"{name}:{row.id}", tags=tags, weight=row.weight * weight)


def _log_duplicates(rows: Sequence[Comparison], sizes: Sequence[int], log: Callable[[str], None]) -> None:
    """Log how many comparisons, of a prompt and two answers in either order, are in more than one file."""
    files = (number for number, size in enumerate(sizes) for _ in range(size))
    found_in: dict[bytes, list[int]] = defaultdict(list)
    for row, file in zip(rows, files, strict=True):
        texts = (row.prompt, *sorted((row.answer_a, row.answer_b)))
        found_in[blake2b(repr(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()].append(file)
    shared = [numbers for numbers in found_in.values() if len(set(numbers)) > 1]
    if shared:
        verb = "is" if len(shared) == 1 else "are"
        log(
            f"{pluralize(len(shared), 'comparison')} (prompt and both answers) {verb} in more than one file: "
            f"{pluralize(sum(map(len, shared)), 'row')}, all used."
        )
