"""Read a data set of the Hugging Face hub, or a local folder with the same layout, as a table.

The library `datasets` downloads, caches and reads it. It executes no code of a data set, and no image or sound is
decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tiebreak.data.readers.input_file import near_names
from tiebreak.data.readers.table import Row, Table
from tiebreak.dataset_names import DatasetName
from tiebreak.errors import DataError, TiebreakError

_BATCH: Final = 1024


def check_library() -> None:
    """Check that the library to read data sets with is installed.

    Raises:
        TiebreakError: it is not; the message has the command that installs it.
    """
    if find_spec("datasets") is None:
        raise TiebreakError(
            "Reading a data set of the hub needs datasets, which is not installed. "
            "Install with: pip install 'tiebreak[train]'"
        )


def read_dataset(name: DatasetName, columns: Collection[str]) -> Table:
    """The requested columns of one split; rows are counted from 1.

    Without a split in the name it is `train`, or the only one.

    Raises:
        DataError: there is no such data set, configuration or split, access to it is restricted, the hub cannot be
            reached, or the files cannot be read.
        TiebreakError: as in `check_library`.
    """
    check_library()
    with _without_progress_bars(), _translate_errors(name):
        builder = _builder(name)
        split = _split(name, builder)
        builder.download_and_prepare()
        rows = builder.as_dataset(split=split)
        names = tuple(rows.column_names)
        rows = rows.select_columns([column for column in names if column in columns])
    return Table(names, _rows(rows), "row")


def _builder(name: DatasetName) -> Any:
    """What `datasets` reads the files with. Cells of CSV stay texts, as in other files: `007`, `None` and `NA` too."""
    import pandas as pd
    from datasets import Features, Value, load_dataset_builder

    builder = load_dataset_builder(name.location, name.config)
    if builder.info.features is None and hasattr(builder.config, "na_filter"):  # CSV
        first, *_ = next(iter(builder.config.data_files.values()))
        header = pd.read_csv(first, **{**builder.config.pd_read_csv_kwargs, "nrows": 0, "chunksize": None})
        texts = Features({str(column): Value("string") for column in header.columns})
        builder = load_dataset_builder(name.location, name.config, features=texts, na_filter=False)
    return builder


def _split(name: DatasetName, builder: Any) -> str:
    splits = [str(split) for split in builder.config.data_files or builder.info.splits or ()]
    if name.split in splits:
        return name.split
    listed = ", ".join(splits)
    if name.split is not None:
        configs = _configs(name) if name.config is None else []
        if name.split in configs:
            raise DataError(
                f"{name.location} has no split {name.split!r}, but a configuration of this name. Name its split too, "
                f"as in {name.location}:{name.split}:SPLIT."
            )
        raise DataError(f"{name.location} has no split {name.split!r}. Its splits are: {listed}.")
    if "train" in splits or len(splits) == 1:
        return "train" if "train" in splits else splits[0]
    raise DataError(
        f"{name} has several splits and none is called train. Name one, as in {name}:{splits[0]}: {listed}."
    )


def _configs(name: DatasetName) -> list[str]:
    from datasets import get_dataset_config_names

    return list(get_dataset_config_names(name.location))


def _rows(rows: Any) -> Iterator[Row]:
    from datasets import ClassLabel

    _disable_decoding(rows.info.features)  # `rows.features` is a copy
    labels = {column: kind for column, kind in rows.features.items() if isinstance(kind, ClassLabel)}
    number = 0
    for batch in rows.iter(batch_size=_BATCH):
        for column, label in labels.items():
            batch[column] = [None if cell in (None, -1) else label.int2str(cell) for cell in batch[column]]
        for values in zip(*batch.values(), strict=True):
            number += 1
            yield Row(number, dict(zip(batch, values, strict=True)))


def _disable_decoding(feature: Any) -> None:
    """Leave images, sounds and other files in a cell as they are stored, at any depth."""
    if isinstance(feature, dict):
        for inner in feature.values():
            _disable_decoding(inner)
    elif hasattr(feature, "feature"):  # a list
        _disable_decoding(feature.feature)
    elif hasattr(feature, "decode") and type(feature).__name__ != "Json":  # cells of any type, stored as text
        feature.decode = False


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Hide the bars of `datasets`; those of the hub's downloads stay."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            enable_progress_bars()


@contextmanager
def _translate_errors(name: DatasetName) -> Iterator[None]:
    """Turn errors of the library into a DataError of one line that says what to do."""
    try:
        yield
    except TiebreakError:
        raise
    except Exception as error:  # many kinds: of the network, the hub, file formats, the disk
        raise DataError(_advice(name, error)) from error


def _advice(name: DatasetName, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError

    location, reason = name.location, str(error).strip().partition("\n")[0] or type(error).__name__
    causes = list(_causes(error))
    if any(isinstance(cause, GatedRepoError) for cause in causes) or "gated dataset" in reason:
        return (
            f"The data set {location} is gated. Accept its conditions on its hub page, create an access token there, "
            "and run `hf auth login` (or set HF_TOKEN)."
        )
    if isinstance(error, ValueError) and ("BuilderConfig" in reason or "Config name is missing" in reason):
        configs = _configs(name)
        wrong = "has several configurations" if name.config is None else f"has no configuration {name.config!r}"
        split = "train" if name.split is None or name.split in configs else name.split
        return f"{location} {wrong}. Name one, as in {location}:{configs[0]}:{split}: {', '.join(configs)}."
    looked = f"there is no file {Path(str(name)).absolute()} either.{near_names(Path(str(name)))}"
    if type(error).__name__ == "DatasetNotFoundError" and not name.is_local:
        private = "it is private (log in with `hf auth login`, or set HF_TOKEN)"
        return f"The hub has no data set {location}, or {private}; {looked}"
    if isinstance(error, ConnectionError) and not name.is_local:
        return f"The hub cannot be reached for the data set {location}, which is not in the local cache; {looked}"
    return f"The data set {name} cannot be read: {reason}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
