"""What people's code already calls: other servers' paths, one file a dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiebreak.serving.compat.errors import refusal_of
from tiebreak.serving.compat.llamafactory import llamafactory_routes
from tiebreak.serving.compat.openrlhf import openrlhf_routes
from tiebreak.serving.compat.routing import shared_routes
from tiebreak.serving.compat.tei import tei_routes
from tiebreak.serving.compat.vllm import vllm_routes
from tiebreak.serving.compat.vllm_pairs import vllm_pair_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from tiebreak.serving.judge_service import JudgeService

__all__ = ["dialects", "refusal_of"]


def compat_routes(judge: JudgeService) -> list[APIRouter]:
    """The routes of every dialect."""
    makers = (openrlhf_routes, vllm_routes, vllm_pair_routes, shared_routes, tei_routes, llamafactory_routes)
    return [routes(judge) for routes in makers]
