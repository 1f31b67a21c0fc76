"""What people's code already calls: other servers' paths, one file a dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import APIRouter

    from tiebreak.serving.errors import ServingError
    from tiebreak.serving.served import ServedJudge


def dialects(judge: ServedJudge) -> list[APIRouter]:
    """The routes of every dialect."""
    del judge
    return []


def refusal_of(path: str, error: ServingError) -> Any:
    """An error as the dialect of a path tells it; Tiebreak's own everywhere else."""
    del path
    return {"error": {"message": str(error), "type": error.type, "code": error.status}}
