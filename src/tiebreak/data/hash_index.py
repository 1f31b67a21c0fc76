"""A map from hashes to numbers that takes a fraction of the memory of a dictionary."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_EMPTY: Final = -1


def digest(*texts: str) -> bytes:
    """A hash of 16 bytes of one or more texts without NUL characters; different for different lists of texts."""
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class HashIndex:
    """Numbers of at least 0 by hashes of 16 bytes: 32 to 64 bytes for each, where a dictionary takes about 200.

    An open-addressing hash table with linear probing.
    """

    def __init__(self) -> None:
        self._count = 0
        self._allocate(1024)

    def setdefault(self, key: bytes, value: int) -> int:
        """The number of a hash, which is `value` if it has none yet."""
        high, low = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
        slot = self._slot(high, low)
        if self._values[slot] != _EMPTY:
            return self._values[slot]
        self._highs[slot], self._lows[slot], self._values[slot] = high, low, value
        self._count += 1
        if 4 * self._count > 3 * len(self._values):
            self._grow(zip(self._highs, self._lows, self._values, strict=True))
        return value

    def _slot(self, high: int, low: int) -> int:
        """Where a key is, or where it belongs."""
        highs, lows, values, mask = self._highs, self._lows, self._values, len(self._values) - 1
        slot = low & mask
        while values[slot] != _EMPTY and (lows[slot] != low or highs[slot] != high):
            slot = (slot + 1) & mask
        return slot

    def _grow(self, entries: Iterable[tuple[int, int, int]]) -> None:
        self._allocate(2 * len(self._values))
        for high, low, value in entries:
            if value != _EMPTY:
                slot = self._slot(high, low)
                self._highs[slot], self._lows[slot], self._values[slot] = high, low, value

    def _allocate(self, slots: int) -> None:
        self._highs = array("Q", bytes(8 * slots))
        self._lows = array("Q", bytes(8 * slots))
        self._values = array("q", [_EMPTY]) * slots
