"""A judge behind HTTP."""

from tiebreak.serving.app import create_app
from tiebreak.serving.judge_service import Limits

__all__ = ["Limits", "create_app"]
