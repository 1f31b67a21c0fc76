"""Read the sizes of columns and pages from the metadata of a Parquet file, before any of it is decompressed.

A page is decompressed into as many bytes as its header says, whatever the footer says, so headers are read here first.
pyarrow does not show them; and it ends the process on some damaged footers when asked for the metadata of a column.
Footer and headers are structs in Thrift's compact protocol; the numbers of fields are those of parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

_BOOLEANS: Final = (1, 2)
_BYTE: Final = 3
_INTEGERS: Final = (4, 5, 6)
_DOUBLE: Final = 7
_BINARY: Final = 8
_LISTS: Final = (9, 10)
_STRUCT: Final = 12
_MAX_DEPTH: Final = 20
_HEADER_BYTES: Final = 512
_MAX_HEADER_BYTES: Final = 32 * 2**20
_PAGE_SIZES: Final = (2, 3)
"""The fields uncompressed_page_size and compressed_page_size of PageHeader."""
_DELTA_ENCODINGS: Final = {6, 7}
"""DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY."""


@dataclass
class ColumnChunk:
    """The part of a stored column that is in one row group."""

    leaf: int
    """The number of the column, counted from 0."""
    start: int = 0
    """Of its first page in the file."""
    packed: int = 0
    """Bytes of all its pages as stored."""
    is_delta: bool = False
    """Whether texts are stored as differences to the text before."""


def column_chunks(footer: bytes) -> Iterator[ColumnChunk]:
    """All column chunks of a file, by row group.

    Raises:
        ValueError: the footer is damaged.
    """
    reader = _CompactReader(footer)
    try:
        for number, kind in reader.fields():
            if number != 4:  # FileMetaData.row_groups
                reader.skip(kind)
                continue
            for _ in reader.items(kind, _STRUCT):
                for group_number, group_kind in reader.fields():
                    if group_number == 1:  # RowGroup.columns
                        for leaf in reader.items(group_kind, _STRUCT):
                            yield _column_chunk(reader, leaf)
                    else:
                        reader.skip(group_kind)
    except IndexError:
        raise ValueError("the metadata at its end are cut off") from None


def _column_chunk(reader: _CompactReader, leaf: int) -> ColumnChunk:
    chunk = ColumnChunk(leaf)
    dictionary = 0
    for number, kind in reader.fields():
        if (number, kind) != (3, _STRUCT):  # ColumnChunk.meta_data
            reader.skip(kind)
            continue
        for meta_number, meta_kind in reader.fields():
            if meta_number == 2:  # ColumnMetaData.encodings
                encodings = {reader.integer() for _ in reader.items(meta_kind, 5)}
                chunk.is_delta = not _DELTA_ENCODINGS.isdisjoint(encodings)
            elif meta_kind in _INTEGERS and meta_number == 7:  # total_compressed_size
                chunk.packed = reader.integer()
            elif meta_kind in _INTEGERS and meta_number == 9:  # data_page_offset
                chunk.start = reader.integer()
            elif meta_kind in _INTEGERS and meta_number == 11:  # dictionary_page_offset
                dictionary = reader.integer()
            else:
                reader.skip(meta_kind)
    if 0 < dictionary < chunk.start:
        chunk.start = dictionary
    return chunk


def read_footer(file: BinaryIO, size: int, limit: int) -> bytes:
    """The footer of a file of this size.

    Raises:
        ValueError: the file is cut off, or the footer is larger than the limit.
    """
    file.seek(max(size - 8, 0))
    length = int.from_bytes(file.read(4), "little")
    if length > size - 8:
        raise ValueError("the metadata at its end are cut off")
    if length > limit:
        raise ValueError(f"its metadata have {length:,} bytes, and at most {limit:,} are read: write larger row groups")
    file.seek(size - 8 - length)
    return file.read(length)


def page_sizes(file: BinaryIO, chunk: ColumnChunk) -> Iterator[int]:
    """The bytes that each page of a column chunk decompresses to.

    Ends early where something else than a page begins; pyarrow refuses that when it gets there.
    """
    position, end = chunk.start, chunk.start + chunk.packed
    while 0 <= position < end:
        header = _read_header(file, position)
        if header is None:
            return
        unpacked, packed, length = header
        yield unpacked
        if packed < 0:
            return
        position += length + packed


def _read_header(file: BinaryIO, start: int) -> tuple[int, int, int] | None:
    """The sizes of a page when decompressed and as stored, and the length of its header."""
    size = _HEADER_BYTES
    while size <= _MAX_HEADER_BYTES:
        file.seek(start)
        data = file.read(size)
        reader = _CompactReader(data)
        sizes: dict[int, int] = {}
        try:
            for number, kind in reader.fields():
                if number in _PAGE_SIZES and kind in _INTEGERS:
                    sizes[number] = reader.integer()
                else:
                    reader.skip(kind)
        except ValueError:
            return None
        except IndexError:
            if len(data) < size:
                return None
            size *= 4  # statistics in a header may be long texts
            continue
        if len(sizes) < len(_PAGE_SIZES):
            return None
        unpacked, packed = (sizes[number] for number in _PAGE_SIZES)
        return unpacked, packed, reader.position
    return None


class _CompactReader:
    """Thrift's compact protocol. Raises an IndexError at the end of the data, and a ValueError for what is invalid."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """The number and the type of each field of a struct, whose value has to be read or skipped each time."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def items(self, kind: int, expected: int) -> Iterator[int]:
        """The numbers of the items of a list, each of which has to be read or skipped."""
        count, item_kind = self._list_head()
        if kind not in _LISTS or item_kind != expected:
            raise ValueError("its metadata are damaged")
        yield from range(count)

    def integer(self) -> int:
        """An integer of any size."""
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over the value of a field."""
        if depth > _MAX_DEPTH:
            raise ValueError("its metadata are nested too deeply")
        if kind in _INTEGERS:
            self._unsigned()
        elif kind in (_BYTE, _DOUBLE, _BINARY):
            length = {_BYTE: 1, _DOUBLE: 8}.get(kind) or self._unsigned()
            self.position += length
        elif kind == _STRUCT:
            for _, field_kind in self.fields():
                self.skip(field_kind, depth + 1)
        elif kind in _LISTS:
            count, item_kind = self._list_head()
            for _ in range(count):
                self.skip(_BYTE if item_kind in _BOOLEANS else item_kind, depth + 1)
                self._data[self.position - 1]  # an IndexError, before a false count makes this loop long
        elif kind not in _BOOLEANS:
            raise ValueError("its metadata are damaged")

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        return (self._unsigned() if head >> 4 == 15 else head >> 4), head & 15

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError("its metadata are damaged")
