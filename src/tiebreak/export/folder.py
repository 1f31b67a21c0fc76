"""`export_run`: a run as a plain Hugging Face folder, written atomically.

FOLDER/
  config.json, model*.safetensors                   the merged classifier; or with --adapter-only:
  adapter_config.json, adapter_model.safetensors    adapter and head in PEFT's format
  tokenizer*.json, chat_template.jinja              the tokenizer, with the judge's template as its chat template
  conversation_template.jinja                       the base model's own, if a pairwise judge reads texts in it
  tiebreak.json                                     the run's card: template, lengths, tie parameter, calibration
  export.json                                       what was written, and how far its outputs differ from the run's
  README.md                                         the model card
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tiebreak.errors import RunError
from tiebreak.export.result import ExportDtype, ExportReport
from tiebreak.extras import require_extra
from tiebreak.runs import RunFolder, write_folder_atomically

logger = logging.getLogger(__name__)


def export_run(
    run: str | Path,
    folder: str | Path,
    *,
    dtype: ExportDtype = "auto",
    adapter_only: bool = False,
    base_model: str | None = None,
    on: str | Path | None = None,
    skip_drift: bool = False,
    log: Callable[[str], None] = logger.info,
    on_stage: Callable[[str], None] = logger.debug,
) -> ExportReport:
    """Write a run's judge as a plain Hugging Face folder that works without Tiebreak.

    Adapter and head are merged into the base in full precision, whatever its precision in training was. How far this
    changes the outputs is measured on the written folder. `AutoModelForSequenceClassification` and
    `pipeline("text-classification")` load it; the tokenizer's chat template renders messages into the judge's template.

    Args:
        run: the run folder.
        folder: the folder to write; it must not exist or be empty.
        dtype: of the merged weights; `auto` is the type of the base checkpoint.
        adapter_only: write adapter and head in PEFT's format instead of merged weights.
        base_model: where the base model is now, if it is not where it was in training.
        on: a file of comparisons, with or without votes, to measure the drift on. By default the run's validation rows.
        skip_drift: do not measure the drift, which runs the judge and then the export.
        log: called with one sentence at a time about the progress.
        on_stage: called with the name of each stage.

    Raises:
        RunError: the run holds no trained model, the folder is not empty, or the disk is full.
        ModelError: the base model cannot be loaded, or weights are not finite. Nothing is left in the folder.
        DataError: the file to measure on cannot be read.
        MemoryBudgetError: there is too little memory to measure the drift.
    """
    source, target = RunFolder(run), Path(folder)
    source.check_trained()
    source.check_has_language_model("Only a fine-tuned model is exported")
    check_export_folder(target)
    require_extra("train", "exporting a run")
    if adapter_only and dtype != "auto":
        raise RunError(f"dtype={dtype} applies to merged weights; an adapter is always float32. Leave dtype=auto.")
    from tiebreak.export.write import write_export  # imports torch, so after the checks above

    with write_folder_atomically(target) as draft:
        return write_export(
            source,
            draft,
            target,
            dtype=dtype,
            adapter_only=adapter_only,
            base_model=base_model,
            on=None if on is None else Path(on),
            skip_drift=skip_drift,
            log=log,
            on_stage=on_stage,
        )


def check_export_folder(folder: Path) -> None:
    """Check that an export can be written to the folder.

    Raises:
        RunError: it is a file, or a folder that is not empty.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty. Give a folder that does not exist, or delete it first.")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file. Give a folder that does not exist.")
