"""Exporting a run as a plain Hugging Face folder: weights, tokenizer with a chat template, model card."""

from tiebreak.export.folder import check_export_folder, export_run
from tiebreak.export.result import Drift, ExportDtype, ExportReport

__all__ = ["Drift", "ExportDtype", "ExportReport", "check_export_folder", "export_run"]
