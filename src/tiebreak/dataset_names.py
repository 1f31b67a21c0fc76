"""Names of data sets: `org/name` on the Hugging Face hub or a local folder with the hub's layout, and parts of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PART: Final = re.compile(r"[\w.-]+")
_FILE_ENDINGS: Final = (
    ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".xlsx", ".gz", ".bz2", ".xz", ".zst",
    ".zip", ".yaml", ".yml",
)  # fmt: skip
"""A name that ends like this is that of a file."""


class DatasetName(NamedTuple):
    """A data set, and the part of it that is read."""

    location: str
    """The name on the hub, or a local folder."""
    config: str | None
    """None for the default configuration."""
    split: str | None
    """None for `train`, or the only split."""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder."""
        return Path(self.location).is_dir()

    def __str__(self) -> str:
        return ":".join(part for part in self if part is not None)


def parse_dataset_name(text: str) -> DatasetName | None:
    """The data set that a text names: `org/name`, `org/name:split`, `org/name:config:split`, or these with a folder.

    A local path that exists is never a name on the hub. A folder alone is a data set if it has a README.md, as data
    sets on the hub do.

    Returns:
        None if the text is a path, existing or not, and not a data set.

    >>> parse_dataset_name("org/votes:test")
    DatasetName(location='org/votes', config=None, split='test')
    >>> parse_dataset_name("votes/train.csv") is None
    True
    """
    try:
        return _parse(text)
    except OSError:  # in a folder that this user may not read, or too long for a path
        return None


def _parse(text: str) -> DatasetName | None:
    path = Path(text)
    if path.exists():
        return DatasetName(text, None, None) if (path / "README.md").is_file() else None
    location, *parts = text.split(":")
    if len(parts) > 2 or not all(_PART.fullmatch(part) for part in parts):
        return None
    is_folder = bool(location and parts) and Path(location).is_dir()
    on_hub = _HUB_NAME.fullmatch(location) is not None and not location.lower().endswith(_FILE_ENDINGS)
    if not is_folder and not on_hub:
        return None
    config, split = (None, None, *parts)[-2:]
    return DatasetName(location, config, split)
