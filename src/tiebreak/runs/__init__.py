"""The run folder: its files, its lock, atomic writes, and the formats of predictions and scores."""

from tiebreak.runs.files import (
    translate_write_errors,
    write_atomically,
    write_folder_atomically,
    write_json,
    write_text,
)
from tiebreak.runs.folder import (
    BASELINE_CARD,
    BLEND_CARD,
    RunFolder,
)
from tiebreak.runs.orders import Orders, read_orders, write_orders
from tiebreak.runs.predictions import (
    SUBMISSION_COLUMNS,
    check_submission_path,
    submission_frame,
    write_predictions,
    write_submission,
)
from tiebreak.runs.scores import write_rewards, write_scores
from tiebreak.runs.validation_rows import (
    ValidationRows,
    have_hashes,
    prompt_hashes,
    read_training_prompts,
    read_validation_rows,
    write_prompt_hashes,
    write_training_prompts,
    write_validation_rows,
)

__all__ = [
    "BASELINE_CARD",
    "BLEND_CARD",
    "SUBMISSION_COLUMNS",
    "Orders",
    "RunFolder",
    "ValidationRows",
    "check_submission_path",
    "have_hashes",
    "prompt_hashes",
    "read_orders",
    "read_training_prompts",
    "read_validation_rows",
    "submission_frame",
    "translate_write_errors",
    "write_atomically",
    "write_folder_atomically",
    "write_json",
    "write_orders",
    "write_predictions",
    "write_prompt_hashes",
    "write_rewards",
    "write_scores",
    "write_submission",
    "write_text",
    "write_training_prompts",
    "write_validation_rows",
]
