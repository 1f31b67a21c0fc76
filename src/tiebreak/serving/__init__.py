"""A judge behind HTTP."""

from tiebreak.serving.app import create_app
from tiebreak.serving.served import Limits

__all__ = ["Limits", "create_app"]
