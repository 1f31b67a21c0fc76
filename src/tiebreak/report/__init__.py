"""A run's folder -> one HTML file that shows what the run came to."""

from tiebreak.report.write import write_report

__all__ = ["write_report"]
