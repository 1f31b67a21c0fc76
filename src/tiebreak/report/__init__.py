"""A run's folder as one self-contained HTML page. It renders what the folder holds; `workflows` computes it."""

from tiebreak.report.write import write_report

__all__ = ["write_report"]
