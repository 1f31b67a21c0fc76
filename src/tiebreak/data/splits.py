"""Split comparisons into training and validation rows, with no prompt in both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.prompt_folding import fold_prompt, fold_prompt_0_1
from tiebreak.types import Comparison


def split_by_prompt(
    comparisons: Iterable[Comparison],
    *,
    validation_rows: int | None,
    validation_share: float | None,
    seed: int,
    fold: Callable[[str], str] = fold_prompt,
) -> tuple[list[Comparison], list[Comparison]]:
    """Training and validation rows, each in the order of the input.

    Comparisons with the same `opening_prompt`, as `fold_prompt` compares them, stay together, so that validation does
    not reward a model for having seen the prompt. Validation gets a proportional share of large and of small groups,
    chosen by a hash of prompt and seed, so the choice does not depend on the order of the rows or on the machine. Its
    size is the closest to the requested one that whole groups can make.

    The hash is that of the prompt folded by `fold_prompt_0_1`, the smallest in a group: a seed gives the rows that it
    gave in earlier versions, unless prompts were added to a group.

    Args:
        comparisons: at least two, with at least two different first prompts.
        validation_rows: number of rows to validate on. Give exactly one of this and the share.
        validation_share: the same as a share of all rows, between 0 and 1.
        seed: other seeds choose other groups.
        fold: prompts with equal results are one group; `fold_prompt_0_1` repeats the split of an older run.

    Raises:
        ValueError: both sizes are given, or neither.
        DataError: the size leaves no row for training or validation, or there is only one row or one first prompt.
    """
    rows = list(comparisons)
    # Tiebreak 0.1 took the first turn, even if it was empty.
    prompts = [row.prompt[0] if fold is fold_prompt_0_1 else row.opening_prompt for row in rows]
    keys = _group_names(prompts, fold)
    if len(rows) < 2:
        raise DataError(
            "there is only one comparison: none would be left for training. Validate on a separate file "
            "(data.validation=FILE), or give more votes."
        )
    target = _target(len(rows), validation_rows, validation_share)
    if len(set(keys)) < 2:
        raise DataError(
            f"all {len(rows)} comparisons have the same first prompt, and those that share one stay together: none "
            "would be left for training. Validate on a separate file: data.validation=FILE."
        )
    chosen = _choose_groups(keys, target, str(seed))
    training = [row for row, key in zip(rows, keys, strict=True) if key not in chosen]
    return training, [row for row, key in zip(rows, keys, strict=True) if key in chosen]


def sample_by_prompt(
    comparisons: Sequence[Comparison], *, share: float, seed: int, fold: Callable[[str], str] = fold_prompt
) -> list[Comparison]:
    """A random share of the comparisons, in their order; those with the same first prompt are all in it, or none.

    Prompts are grouped and chosen as in `split_by_prompt`, by a hash of their own: a later split with the same seed
    does not depend on the choice. Files with the same prompts give the same ones to samples of the same share.

    Raises:
        DataError: there is only one first prompt.
    """
    if share == 1:
        return list(comparisons)
    keys = _group_names([comparison.prompt[0] for comparison in comparisons], fold)
    if len(set(keys)) < 2:
        raise DataError(
            f"share={share:g} of {pluralize(len(comparisons), 'comparison')} with one and the same prompt: rows that "
            "share a prompt are all used, or none. Leave share out."
        )
    target = min(max(round(share * len(comparisons)), 1), len(comparisons) - 1)
    chosen = _choose_groups(keys, target, f"share {seed}")
    return [row for row, key in zip(comparisons, keys, strict=True) if key in chosen]


def _choose_groups(keys: Sequence[str], target: int, hash_key: str) -> set[str]:
    """The names of groups with about `target` rows in all, from the name of each row's group, of two or more."""
    groups: dict[str, int] = defaultdict(int)
    for key in keys:
        groups[key] += 1
    by_size: dict[int, list[str]] = defaultdict(list)
    for key in sorted(groups, key=lambda key: _keyed_hash(key, hash_key)):
        by_size[groups[key]].append(key)
    return _choose(by_size, target, len(keys))


def _group_names(prompts: list[str], fold: Callable[[str], str]) -> list[str]:
    """[rows], the name of each row's group: the smallest of its prompts, folded by `fold_prompt_0_1`."""
    spellings = [fold_prompt_0_1(prompt) for prompt in prompts]
    folded = [fold(prompt) for prompt in prompts]
    names: dict[str, str] = {}
    for key, spelling in zip(folded, spellings, strict=True):
        names[key] = min(names.get(key, spelling), spelling)
    return [names[key] for key in folded]


def _keyed_hash(key: str, hash_key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), key=hash_key.encode(), digest_size=16).digest()


def _target(rows: int, validation_rows: int | None, validation_share: float | None) -> int:
    if validation_rows is not None and validation_share is None:
        if not 1 <= validation_rows < rows:
            raise DataError(f"validation_rows={validation_rows} of {rows} comparisons: use 1 to {rows - 1}.")
        return validation_rows
    if validation_share is not None and validation_rows is None:
        if not 0 < validation_share < 1:
            raise DataError(f"validation_share={validation_share}: use a share between 0 and 1, both exclusive.")
        return min(max(round(validation_share * rows), 1), rows - 1)
    raise ValueError("give exactly one of validation_rows and validation_share")


def _choose(by_size: dict[int, list[str]], target: int, rows: int) -> set[str]:
    """The groups to validate on. Sizes are handled largest first; each one compensates the rounding of those before."""
    sizes = sorted(by_size, reverse=True)
    reachable = _reachable_sums([(size, len(by_size[size])) for size in sizes], rows)
    remaining = _nearest(target, (total for total in range(1, rows) if reachable[0][total] == "1"))
    chosen: set[str] = set()
    due = 0.0
    for size, reachable_later in zip(sizes, reachable[1:], strict=True):
        groups = by_size[size]
        due += len(groups) * size * target / rows
        most = min(len(groups), remaining // size)
        number = _nearest(due / size, (n for n in range(most + 1) if reachable_later[remaining - n * size] == "1"))
        chosen.update(groups[:number])
        remaining -= number * size
        due -= number * size
    return chosen


def _reachable_sums(sizes: list[tuple[int, int]], rows: int) -> list[str]:
    """Subset sums of every tail of the sizes, the empty tail last: character s is "1" if groups of it sum to s rows.

    Sums are the bits of one integer, in which adding a group is a shift. The groups of a size are added 1, 2, 4, ... at
    a time, so the cost is logarithmic in their number.

    Args:
        sizes: pairs of a size and the number of groups of this size.
        rows: the sum of all groups.
    """
    reachable = 1
    tails = [reachable]
    for size, groups in reversed(sizes):
        step, left = 1, groups
        while left:
            step = min(step, left)
            reachable |= reachable << size * step
            left -= step
            step *= 2
        tails.append(reachable)
    return [f"{tail:0{rows + 1}b}"[::-1] for tail in reversed(tails)]


def _nearest(target: float, choices: Iterable[int]) -> int:
    return min(choices, key=lambda choice: (abs(choice - target), choice))
