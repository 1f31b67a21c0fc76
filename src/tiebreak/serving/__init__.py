"""The HTTP server: `create_app` makes an ASGI app that serves a judge."""

from tiebreak.serving.app import create_app
from tiebreak.serving.judge_service import Limits

__all__ = ["Limits", "create_app"]
