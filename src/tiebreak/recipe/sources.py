"""Where the votes of a recipe come from: a path, a glob or the name of a data set, or a list of these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, WithJsonSchema

from tiebreak.dataset_names import parse_dataset_name
from tiebreak.recipe.fields import Section


def _resolve(path: Path) -> Path:
    """An absolute path, so that it does not depend on the current folder; the name of a data set as it is."""
    path = path.expanduser()
    name = parse_dataset_name(str(path))
    return path if name is not None and not name.is_local else path.absolute()


VotesPath = Annotated[Path, AfterValidator(_resolve)]
"""A file of votes, or the name of a data set."""


class VotesSource(Section):
    """An entry of a list of sources."""

    path: VotesPath
    """A file, a glob such as `votes/*.parquet`, or the name of a data set."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Use this share of the rows, chosen at random with `data.seed`: all rows of a prompt, or none."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Multiply the weight of each row by this."""


_SOURCES: Final = TypeAdapter(tuple[VotesSource, ...])


def _parse_sources(value: Any) -> Any:
    """A path, or a tuple of sources."""
    if isinstance(value, Mapping):
        raise ValueError(f"is a mapping: put it in a list, as in [{{path: votes.csv, share: 0.5}}] (it is {value!r})")
    if isinstance(value, str | Path):
        return _resolve(_checked_path(value, "is empty: name a file"))
    if not isinstance(value, list | tuple):
        raise ValueError("should be a path, the name of a data set, or a list of these")
    if not value:
        raise ValueError("is an empty list: name at least one file")
    return _SOURCES.validate_python(tuple(_parse_entry(number, entry) for number, entry in enumerate(value)))


def _parse_entry(number: int, entry: Any) -> Any:
    """An entry as a source, or as a mapping of known keys; `number` is counted from 0, as pydantic does."""
    if isinstance(entry, VotesSource):
        return entry
    if isinstance(entry, str | Path):
        return {"path": _checked_path(entry, f"has an empty entry [{number}]: name a file there")}
    keys = ", ".join(VotesSource.model_fields)
    if not isinstance(entry, Mapping):
        raise ValueError(f"entry [{number}] should be a path or a mapping with the keys {keys}, not {entry!r}")
    unknown = [str(key) for key in entry if key not in VotesSource.model_fields]
    if unknown:
        raise ValueError(f"entry [{number}] has no key {', '.join(unknown)}: the keys of an entry are {keys}")
    return dict(entry)


def _checked_path(value: str | Path, problem: str) -> Path:
    if not str(value).strip():
        raise ValueError(problem)
    return Path(value)


TrainVotes = Annotated[
    Path | tuple[VotesSource, ...],
    BeforeValidator(_parse_sources),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}}]}
    ),
]
"""A path as it was given, or a list of sources as a tuple."""
