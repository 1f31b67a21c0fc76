"""A run -> a plain Hugging Face folder that needs no Tiebreak: weights, tokenizer with a chat template, model card."""

from tiebreak.export.folder import export_run, refuse_unfit_folder
from tiebreak.export.report import Drift, ExportDtype, ExportReport

__all__ = ["Drift", "ExportDtype", "ExportReport", "export_run", "refuse_unfit_folder"]
