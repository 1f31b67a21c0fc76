"""Pack token ids: rows of tokens without padding, in which a shared prefix is computed once.

A pack holds a forest of segments. A segment attends to itself, causally, and to its ancestors; its positions continue
from the end of its parent. The segments from a root to a leaf make one sequence, with the same result as on its own.
Three sequences, of which two share `a b`:

    sequences   a b c d      a b e      f g

    segment     0    1    2    3          a b
    tokens      a b  c d  e    f g       /    \\
    positions   0 1  2 3  2    0 1      c d    e        f g
    parents     -1   0    0    -1
    pooled           d    e    g        (the last token of each sequence)
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """The input of one pass through the model: the tokens of several sequences, with shared prefixes stored once."""

    input_ids: npt.NDArray[np.int64]
    """[tokens]"""
    positions: npt.NDArray[np.int64]
    """[tokens], from 0 at a root; a segment continues from the end of its parent"""
    starts: npt.NDArray[np.int64]
    """[segments + 1]: segment s holds the tokens starts[s]:starts[s + 1], at least one"""
    parents: npt.NDArray[np.int64]
    """[segments], -1 for a root; a parent comes before the segments that continue it"""
    pooled: npt.NDArray[np.int64]
    """[sequences]: index in the pack of the last token of each sequence, all different"""
    sequences: npt.NDArray[np.int64]
    """[sequences]: index of each sequence in the input of `pack`"""

    def mask(self, window: int | None = None) -> npt.NDArray[np.bool_]:
        """The attention mask as a dense bool matrix [tokens, tokens]: row i attends to column j.

        Token i attends to j if the segment of j is that of i or an ancestor of it, and positions[j] <= positions[i];
        with a sliding window also positions[i] - positions[j] < window. This is the reference for faster attention.

        >>> [both] = pack([np.array([5, 6, 7, 8]), np.array([5, 6, 9])], tokens_per_pass=8, groups=[0, 0])
        >>> both.input_ids  # 5 6 is the parent of 7 8 and of 9
        array([5, 6, 7, 8, 9])
        >>> both.mask().astype(int)
        array([[1, 0, 0, 0, 0],
               [1, 1, 0, 0, 0],
               [1, 1, 1, 0, 0],
               [1, 1, 1, 1, 0],
               [1, 1, 0, 0, 1]])
        >>> both.mask(window=2).astype(int)
        array([[1, 0, 0, 0, 0],
               [1, 1, 0, 0, 0],
               [0, 1, 1, 0, 0],
               [0, 0, 1, 1, 0],
               [0, 1, 0, 0, 1]])
        """
        is_visible = np.eye(self.parents.size, dtype=np.bool_)  # [segments, segments]
        for segment, parent in enumerate(self.parents):
            if parent >= 0:
                is_visible[segment] |= is_visible[parent]
        segment_of = np.repeat(np.arange(self.parents.size), np.diff(self.starts))
        distance = self.positions[:, None] - self.positions[None, :]
        mask: npt.NDArray[np.bool_] = is_visible[segment_of[:, None], segment_of[None, :]] & (distance >= 0)
        return mask if window is None else mask & (distance < window)


def pack(
    sequences: Sequence[Ids], *, tokens_per_pass: int, groups: Sequence[int] | None = None, together: bool = False
) -> list[Pack]:
    """Pack token ids into passes of at most `tokens_per_pass` tokens, by best-fit decreasing bin packing.

    Sequences with the same number in `groups` (the two orders of a comparison) share their common prefixes; without
    groups nothing is shared. Every sequence has at least its last token to itself, even among identical sequences, so
    that each has its own token to pool. A group larger than the budget is split unless `together` is set; each part
    holds the shared prefix once. The result is deterministic.

    Args:
        sequences: token ids, not negative, each of shape [tokens] with at least one.
        tokens_per_pass: the maximum number of tokens of a pack.
        groups: a group number for each sequence; sequences share prefixes within their group.
        together: keep each group in one pack, because one loss is computed from all of it.

    Raises:
        ValueError: a sequence, or a group that has to stay together, is empty or longer than `tokens_per_pass`, or
            `groups` has another length than `sequences`.
    """
    for index, ids in enumerate(sequences):
        if not 0 < len(ids) <= tokens_per_pass:
            raise ValueError(
                f"sequence {index} has {len(ids)} tokens, but a pack holds 1 to tokens_per_pass = {tokens_per_pass}"
            )
    if groups is not None and len(groups) != len(sequences):
        raise ValueError(f"groups has {len(groups)} entries for {len(sequences)} sequences: give one for each")
    if groups is None:
        units = [[_alone(index, sequences)] for index in range(len(sequences))]
    elif together:
        units = [_trees(group, sequences) for group in _members(groups)]
    else:
        units = [[tree] for group in _members(groups) for tree in _trees(group, sequences, tokens_per_pass)]
    return [_lay_out(trees) for trees in _best_fit(units, tokens_per_pass)]


def packed_tokens(sequences: Sequence[Ids]) -> int:
    """The number of tokens that a group of sequences takes in a pack, with shared prefixes counted once.

    >>> packed_tokens([np.array([5, 6, 7, 8]), np.array([5, 6, 9])])
    5
    """
    return sum(tree.tokens for tree in _trees(list(range(len(sequences))), sequences))


@dataclass(slots=True)
class _Tree:
    """Connected segments, each after its parent, and the sequences that end in them."""

    tokens: int = 0
    segments: list[Ids] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    """Position of the first token of each segment."""
    parents: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    """The segment in which each sequence ends."""
    sequences: list[int] = field(default_factory=list)

    def add(self, ids: Ids, depth: int, parent: int) -> int:
        self.tokens += len(ids)
        self.segments.append(ids)
        self.depths.append(depth)
        self.parents.append(parent)
        return len(self.segments) - 1


def _alone(index: int, sequences: Sequence[Ids]) -> _Tree:
    ids = sequences[index]
    return _Tree(len(ids), [ids], [0], [-1], [0], [index])


def _members(groups: Sequence[int]) -> Iterable[list[int]]:
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return members.values()


def _trees(group: list[int], sequences: Sequence[Ids], max_tokens: int | None = None) -> list[_Tree]:
    """The sequences of a group as prefix trees, one for each shared first token.

    A tree of more than `max_tokens` tokens is split into several, each with its own copy of the shared prefix.
    """
    if len(group) < 2:
        return [_alone(index, sequences) for index in group]
    # In sorted order, two sequences share the shortest of the prefixes that neighbours between them share.
    order = sorted(group, key=lambda index: np.asarray(sequences[index], dtype=">u4").tobytes())
    ranked = [sequences[index] for index in order]
    shared = [_common_prefix(a, b) for a, b in pairwise(ranked)]
    trees: list[_Tree] = []
    for run in _runs(shared, (0, len(order)), above=0):
        for first, end in [run] if max_tokens is None else _split_run(ranked, shared, run, max_tokens):
            tree = _Tree()
            _grow(tree, ranked, shared, (first, end))
            tree.sequences = [order[rank] for rank in tree.sequences]
            trees.append(tree)
    return trees


def _split_run(ranked: list[Ids], shared: list[int], run: tuple[int, int], max_tokens: int) -> list[tuple[int, int]]:
    """Split the sorted sequences of a run, [first, end), so that the tree of each part has at most `max_tokens` tokens.

    A tree has the tokens of its sequences minus those that neighbours share.
    """
    first, end = run
    cuts, tokens = [first], len(ranked[first])
    for rank in range(first + 1, end):
        tokens += len(ranked[rank]) - shared[rank - 1]
        if tokens > max_tokens:
            cuts.append(rank)
            tokens = len(ranked[rank])
    return list(pairwise([*cuts, end]))


def _common_prefix(a: Ids, b: Ids) -> int:
    """Tokens that two sequences share from the start, without their last tokens, which are pooled."""
    length = min(len(a), len(b)) - 1
    differ = np.flatnonzero(a[:length] != b[:length])
    return int(differ[0]) if differ.size else length


def _runs(shared: list[int], run: tuple[int, int], above: int) -> list[tuple[int, int]]:
    """Split the sorted sequences of a run, [first, end), where neighbours share no more than `above` tokens."""
    first, end = run
    cuts = [rank + 1 for rank in range(first, end - 1) if shared[rank] <= above]
    return list(zip([first, *cuts], [*cuts, end], strict=True))


def _grow(
    tree: _Tree, ranked: list[Ids], shared: list[int], run: tuple[int, int], *, depth: int = 0, parent: int = -1
) -> None:
    """Add the sorted sequences of a run, [first, end), which agree in their first `depth` tokens, below `parent`."""
    first, end = run
    if end - first == 1:
        tree.leaves.append(tree.add(ranked[first][depth:], depth, parent))
        tree.sequences.append(first)
        return
    fork = min(shared[first : end - 1])
    segment = tree.add(ranked[first][depth:fork], depth, parent)
    for child in _runs(shared, run, above=fork):
        _grow(tree, ranked, shared, child, depth=fork, parent=segment)


def _best_fit(units: list[list[_Tree]], tokens_per_pass: int) -> list[list[_Tree]]:
    """Best-fit decreasing: the largest unit of trees first, each into the fullest pack that still has room for it.

    Ties go to the earlier sequence and to the older pack, so the result is deterministic.

    Raises:
        ValueError: a unit is larger than a pack.
    """
    sized = [(sum(tree.tokens for tree in unit), min(min(tree.sequences) for tree in unit), unit) for unit in units]
    packs: list[list[_Tree]] = []
    free: list[tuple[int, int]] = []  # (free tokens, pack), sorted
    for tokens, first, unit in sorted(sized, key=lambda entry: (-entry[0], entry[1])):
        if tokens > tokens_per_pass:
            raise ValueError(
                f"the group of sequence {first} has {tokens} tokens, but a pack holds 1 to tokens_per_pass = "
                f"{tokens_per_pass}"
            )
        place = bisect_left(free, (tokens, 0))
        if place == len(free):
            packs.append([])
            room, number = tokens_per_pass, len(packs) - 1
        else:
            room, number = free.pop(place)
        packs[number] += unit
        insort(free, (room - tokens, number))
    return packs


def _lay_out(trees: list[_Tree]) -> Pack:
    """The trees, one after the other in one row."""
    segments = [ids for tree in trees for ids in tree.segments]
    lengths = np.array([len(ids) for ids in segments], dtype=np.int64)
    depths = np.array([depth for tree in trees for depth in tree.depths], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    parents: list[int] = []
    leaves: list[int] = []
    for tree in trees:
        base = len(parents)
        parents += [parent + base if parent >= 0 else -1 for parent in tree.parents]
        leaves += [leaf + base for leaf in tree.leaves]
    return Pack(
        input_ids=np.concatenate(segments, dtype=np.int64),
        positions=np.arange(starts[-1]) - np.repeat(starts[:-1] - depths, lengths),
        starts=starts,
        parents=np.array(parents, dtype=np.int64),
        pooled=starts[1:][leaves] - 1,
        sequences=np.array([index for tree in trees for index in tree.sequences], dtype=np.int64),
    )
