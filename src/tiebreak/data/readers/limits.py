"""Limits on what is read from a file, so that no file takes unbounded memory or time."""

from __future__ import annotations

from typing import Final

from tiebreak.errors import DataError

MAX_ROW_BYTES: Final = 16 * 2**20
"""Bytes of one row: a line of JSON lines, a CSV record, an item of a JSON list, the texts of a row of Parquet."""
MAX_UNPACKED_BYTES: Final = 8 * 2**30
"""Bytes that a compressed file may unpack to."""
MAX_RATIO: Final = 200
"""How many times its size a compressed file may unpack to. Texts reach 3 to 20, and a file of zeros 1,000."""
FREE_UNPACKED_BYTES: Final = 256 * 2**20
"""Bytes up to which the ratio does not matter, since equal rows in a small file compress well."""
MAX_PAGE_BYTES: Final = 512 * 2**20
"""Bytes of a page of Parquet, which is decompressed at once; usual are 1 to 64 MiB."""
MAX_FOOTER_BYTES: Final = 64 * 2**20
"""Bytes of the metadata of Parquet; a usual file has some thousands."""
MAX_COLUMNS: Final = 10_000
MAX_COLUMN_NAME: Final = 1_000
"""Characters in the name of a column."""
MAX_NESTING: Final = 100
"""Levels of lists and objects in JSON. Parquet has the same limit, which is pyarrow's."""


def row_too_large(name: str, place: str, hint: str = "") -> DataError:
    """The error for a row above `MAX_ROW_BYTES`; `place` is its line or number."""
    return DataError(
        f"{name}, {place}: the row is larger than {MAX_ROW_BYTES:,} bytes, the most that is read of one row. Shorten "
        f"or remove it.{hint and ' '}{hint}"
    )


def check_unpacked(name: str, unpacked: int) -> None:
    """Refuse a compressed file that unpacks to too much.

    Raises:
        DataError: these are more than `MAX_UNPACKED_BYTES` bytes.
    """
    if unpacked > MAX_UNPACKED_BYTES:
        limit = MAX_UNPACKED_BYTES // 2**30
        raise DataError(f"{name} unpacks to more than {limit} GiB, the most that is read. Unpack it before.")


def exceeds_ratio(unpacked: int, packed: int) -> bool:
    """Whether data are implausibly much larger than the file that they are unpacked from."""
    return unpacked > FREE_UNPACKED_BYTES and unpacked > MAX_RATIO * packed


def check_ratio(name: str, unpacked: int, packed: int, remedy: str) -> None:
    """Refuse a file that exceeds the ratio.

    Raises:
        DataError: see `exceeds_ratio`; the message ends in the remedy.
    """
    if exceeds_ratio(unpacked, packed):
        raise DataError(
            f"{name} has {packed:,} bytes and unpacks to {unpacked:,} or more. At most {MAX_RATIO} times its size "
            f"is read. If the file is meant to be like that, {remedy}."
        )


def check_columns(name: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a file's columns.

    Raises:
        DataError: there are too many, or one is too long.
    """
    if len(columns) > MAX_COLUMNS:
        raise DataError(f"{name} has {len(columns):,} columns; at most {MAX_COLUMNS:,} are read: remove some.")
    longest = max(columns, key=len, default="")
    if len(longest) > MAX_COLUMN_NAME:
        raise DataError(
            f"{name} has a column whose name has {len(longest):,} characters ({longest[:60]!r}…); at most "
            f"{MAX_COLUMN_NAME:,} are read: rename it. In CSV the first line holds the names of columns."
        )
    return columns
