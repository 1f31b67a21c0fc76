"""A run -> a plain Hugging Face folder that needs no Tiebreak: weights, tokenizer with a chat template, model card."""

from tiebreak.export.folder import check_export_folder, export_run
from tiebreak.export.result import Drift, ExportDtype, ExportReport

__all__ = ["Drift", "ExportDtype", "ExportReport", "check_export_folder", "export_run"]
