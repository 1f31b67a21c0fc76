"""A run in, a plain Hugging Face folder out, whole or not at all.

FOLDER/
  config.json, model*.safetensors                   the merged classifier; or of an adapter alone:
  adapter_config.json, adapter_model.safetensors    adapter and head, as PEFT keeps them
  tokenizer*.json, chat_template.jinja              the tokenizer, with the judge's template as its chat template
  tiebreak.json                                     the run's card: template, lengths, tie parameter, calibration
  export.json                                       what was written, and how far its numbers are from the run's
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
    """Write a run's judge as a plain Hugging Face folder, which needs no Tiebreak.

    Adapter and head are merged into the base in full precision, whatever it was held in while it was trained; how far
    that moves its numbers is measured on the folder that was written. `AutoModelForSequenceClassification` and
    `pipeline("text-classification")` read it; the tokenizer's chat template renders messages into the judge's text.

    Args:
        run: the folder `tiebreak train` made.
        folder: to be made; nothing, or an empty folder, may be there.
        dtype: of the merged weights; `auto` is what the base checkpoint is stored in.
        adapter_only: write adapter and head in PEFT's format, to be put on the base model.
        base_model: where the base model is now, if not where it was in training.
        on: a file of comparisons, with or without votes, to measure the drift on. By default the run's validation rows.
        skip_drift: measure nothing. (Otherwise the judge and the export are run, one after the other.)
        tell: called with one sentence at a time about what should be known.
        on_stage: called with what is being done.

    Raises:
        RunError: the run holds no trained model, the folder is taken, or the disk is full.
        ModelError: the base model cannot be had, or weights are not finite. Nothing is left in the folder.
        DataError: the file to measure on cannot be read.
        MemoryBudgetError: the drift cannot be measured in the memory there is.
    """
    source, target = RunFolder(run), Path(folder)
    source.check_trained()
    source.check_has_language_model("Only a fine-tuned model is exported")
    check_export_folder(target)
    if adapter_only and dtype != "auto":
        raise RunError(f"dtype={dtype} is of merged weights: an adapter stays in float32, as it was trained.")
    require_extra("train", "exporting a run")
    from tiebreak.export.write import write_export  # loads torch: what can be refused without it has been

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
    """Refuse a folder that an export cannot be.

    Raises:
        RunError: it is a file, or a folder that is not empty.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty. Name a folder that is not there yet, or delete it first.")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file. An export is a folder: name one that is not there yet.")
