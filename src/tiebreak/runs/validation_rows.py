"""`validation.parquet` and `training_prompts.npy`: a run's validation rows, and hashes of its training prompts.

With them a finished run needs neither the file of votes nor its split: reports, drift, soups and the check for votes
that a run has already seen read these files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.errors import RunError
from tiebreak.prompt_folding import fold_prompt, fold_prompt_0_1
from tiebreak.runs.files import write_atomically
from tiebreak.runs.folder import RunFolder
from tiebreak.types import OUTCOMES, Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOURCE_KEY: Final = b"tiebreak.source"
"""In the metadata of the Parquet file."""


@dataclass(frozen=True)
class ValidationRows:
    """The contents of `validation.parquet`."""

    comparisons: list[Comparison]
    """In the order of the run's predictions, with votes."""
    source: str
    """The file they came from, as the recipe names it."""
    source_sha256: str
    """Of that file when the run was trained; empty if there is no single file."""


def write_validation_rows(run: RunFolder, comparisons: Sequence[Comparison], source: str | Path | None) -> None:
    """Write the rows into the run folder; `read_validation_rows` returns equal ones.

    Args:
        run: the folder.
        comparisons: with votes, in the order of the predictions.
        source: the file or data set they came from, or several of them; None if there is none.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {
        "id": [row.id for row in comparisons],
        "prompt": [json.dumps(row.prompt) for row in comparisons],
        "response_a": [json.dumps(row.answer_a) for row in comparisons],
        "response_b": [json.dumps(row.answer_b) for row in comparisons],
        "margin": [row.margin for row in comparisons],
        "tags": [json.dumps(row.tags) for row in comparisons],
        "system": [json.dumps(row.system) for row in comparisons],
    }
    for number, outcome in enumerate(OUTCOMES):
        columns[f"winner_{outcome}"] = [None if row.vote is None else row.vote[number] for row in comparisons]
    if any(row.weight != 1 for row in comparisons):
        columns["weight"] = [row.weight for row in comparisons]
    is_file = source is not None and Path(source).is_file()
    kept = {"path": str(source or ""), "sha256": _sha256(Path(source)) if source and is_file else ""}
    table = pa.table(columns).replace_schema_metadata({_SOURCE_KEY: json.dumps(kept).encode()})
    write_atomically(run.validation_rows, lambda draft: pq.write_table(table, draft, compression="zstd"))


def read_validation_rows(run: RunFolder) -> ValidationRows | None:
    """The rows that the run was validated on; None if its folder has none (runs of Tiebreak 0.1).

    Raises:
        RunError: the file cannot be read.
    """
    if not run.validation_rows.is_file():
        return None
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(run.validation_rows)
        source = json.loads((table.schema.metadata or {})[_SOURCE_KEY])
        comparisons = [
            Comparison(
                tuple(json.loads(row["prompt"])),
                tuple(json.loads(row["response_a"])),
                tuple(json.loads(row["response_b"])),
                vote=None if row["winner_tie"] is None else tuple(row[f"winner_{outcome}"] for outcome in OUTCOMES),
                id=row["id"],
                margin=row["margin"],
                tags=tuple((name, value) for name, value in json.loads(row["tags"])),
                system=json.loads(row.get("system", '""')),
                weight=row.get("weight", 1.0),
            )
            for row in table.to_pylist()
        ]
        return ValidationRows(comparisons, source["path"], source["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are of these kinds
        raise RunError(f"{run.validation_rows} cannot be read: {error}. Copy or train the run again.") from error


def write_training_prompts(run: RunFolder, comparisons: Sequence[Comparison]) -> None:
    """Write the hashes of the prompts that the run learned from.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_prompt_hashes(run, prompt_hashes(row.opening_prompt for row in comparisons))


def write_prompt_hashes(run: RunFolder, hashes: NDArray[np.uint64]) -> None:
    """As `write_training_prompts`, from hashes [n] that may repeat."""
    distinct = np.unique(hashes)

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            np.save(file, distinct)

    write_atomically(run.training_prompts, write)


def read_training_prompts(run: RunFolder) -> NDArray[np.uint64] | None:
    """Sorted hashes of the prompts that the run learned from; None if its folder has none.

    Raises:
        RunError: the file cannot be read.
    """
    if not run.training_prompts.is_file():
        return None
    try:
        hashes: NDArray[np.uint64] = np.load(run.training_prompts, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise RunError(f"{run.training_prompts} cannot be read: {error}. Copy or train the run again.") from error
    return hashes


def prompt_hashes(prompts: Iterable[str], fold: Callable[[str], str] = fold_prompt) -> NDArray[np.uint64]:
    """BLAKE2b of each folded prompt, 8 bytes: two of a million different ones collide with a probability of 3e-8.

    Args:
        prompts: [n], first turns.
        fold: makes spellings of one prompt equal; older runs have hashes of `fold_prompt_0_1`.
    """
    prompts = map(fold, prompts)
    digests = b"".join(blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).digest() for prompt in prompts)
    return np.frombuffer(digests, dtype=np.uint64)


def have_hashes(prompts: Sequence[str], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[n], whether each first turn is among the prompts of a run, by the fold of this version or that of older runs.

    A run has the hashes of one of the two folds, a soup perhaps of both. `fold_prompt` joins all that `fold_prompt_0_1`
    joins, so comparing both makes no wrong matches.
    """
    return np.isin(prompt_hashes(prompts), hashes) | np.isin(prompt_hashes(prompts, fold_prompt_0_1), hashes)


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
