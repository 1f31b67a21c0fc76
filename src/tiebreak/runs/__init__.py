"""The run folder: the names of its files, atomic writes, predictions and scores as files."""

from tiebreak.runs.folder import (
    BASELINE_CARD,
    BLEND_CARD,
    RunFolder,
    translate_write_errors,
    write_atomically,
    write_json,
    write_text,
)
from tiebreak.runs.predictions import (
    SUBMISSION_COLUMNS,
    check_submission_path,
    submission_frame,
    write_predictions,
    write_submission,
)
from tiebreak.runs.scores import write_rewards, write_scores

__all__ = [
    "BASELINE_CARD",
    "BLEND_CARD",
    "SUBMISSION_COLUMNS",
    "RunFolder",
    "check_submission_path",
    "submission_frame",
    "translate_write_errors",
    "write_atomically",
    "write_json",
    "write_predictions",
    "write_rewards",
    "write_scores",
    "write_submission",
    "write_text",
]
