"""What people's code already calls: other servers' paths, one file a dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiebreak.serving.dialects.llamafactory import llamafactory_routes
from tiebreak.serving.dialects.openrlhf import openrlhf_routes
from tiebreak.serving.dialects.refusals import refusal_of
from tiebreak.serving.dialects.shared import shared_routes
from tiebreak.serving.dialects.tei import tei_routes
from tiebreak.serving.dialects.vllm import vllm_routes
from tiebreak.serving.dialects.vllm_pairs import vllm_pair_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from tiebreak.serving.served import ServedJudge

__all__ = ["dialects", "refusal_of"]


def dialects(judge: ServedJudge) -> list[APIRouter]:
    """The routes of every dialect."""
    makers = (openrlhf_routes, vllm_routes, vllm_pair_routes, shared_routes, tei_routes, llamafactory_routes)
    return [routes(judge) for routes in makers]
