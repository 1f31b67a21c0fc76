"""vLLM's `/score` and `/rerank`, the latter Jina's and Cohere's too: a query is a prompt, documents are answers.

Scores are rewards in nats. A relevance is the reward's logistic, between 0 and 1 as Jina and Cohere have it, unless
`use_activation` is false. A judge of pairs compares the answers to a prompt with each other: its rewards are of mean 0
over them, so that a relevance says how an answer stands among these, and one alone has the relevance 0.5.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from tiebreak.serving.compat.errors import VllmError, refusals
from tiebreak.serving.compat.outputs import Judged, logistic
from tiebreak.serving.compat.rewards import AnswerReward, ranked, rewards_for
from tiebreak.serving.compat.schema import explained
from tiebreak.serving.compat.vllm import TAG, Usage, VllmRequest, require_served, require_short, usage_for
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiebreak.serving.judge_service import JudgeService

Texts = Annotated[
    StrictStr | Annotated[list[StrictStr], Field(min_length=1)], explained("give a text, or a list of texts")
]


class PairsRequest(VllmRequest):
    """Prompts and answers to them: one prompt and any number of answers, or as many of both."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text_1": "1 + 1 = ?", "text_2": ["2", "3"]}]})

    text_1: Texts = Field(
        validation_alias=AliasChoices("text_1", "queries", "data_1"), description="Prompts; or `queries`, or `data_1`."
    )
    text_2: Texts = Field(
        validation_alias=AliasChoices("text_2", "documents", "items", "data_2"),
        description="Answers; or `documents`, `items`, or `data_2`.",
    )


class DocumentText(BaseModel):
    """A document as an object."""

    text: StrictStr


class RerankRequest(VllmRequest):
    """A prompt, and answers to be ranked."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "1 + 1 = ?", "documents": ["3", "2"], "top_n": 1}]}
    )

    query: StrictStr
    documents: Annotated[
        Annotated[list[StrictStr | DocumentText], Field(min_length=1)],
        explained('give a list of texts, or of {"text": ...}; not an empty one'),
    ]
    top_n: Annotated[StrictInt, Field(ge=0)] | None = Field(None, description="Of how many to tell; 0 for all.")
    return_documents: StrictBool | None = Field(None, description="Repeat the documents in the answer, unless false.")

    @property
    def texts(self) -> list[str]:
        """The documents as texts."""
        return [one if isinstance(one, str) else one.text for one in self.documents]


class PairScore(BaseModel):
    """The score of one answer."""

    index: int
    object: Literal["score"] = "score"
    score: float = Field(description="The reward, in nats.")


class PairsResponse(BaseModel):
    """The score of each answer, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PairScore]
    usage: Usage = Field(description="No tokens from a judge of pairs.")


class RerankResult(BaseModel):
    """One answer and its relevance."""

    index: int
    document: DocumentText | None = None
    relevance_score: float


class RerankResponse(BaseModel):
    """Answers from the best to the worst."""

    id: str
    model: str
    usage: Usage = Field(description="No tokens from a judge of pairs.")
    results: list[RerankResult]


def vllm_pair_routes(judge: JudgeService) -> APIRouter:
    """The paths of scores and rankings that are vLLM's alone."""
    routes = APIRouter(tags=[TAG], responses=refusals(VllmError))

    @routes.post("/score", summary="The rewards of answers to prompts")
    async def score_pairs(request: PairsRequest) -> PairsResponse:
        return await score(judge, request)

    @routes.post("/v1/rerank", summary="Rank answers to a prompt, as Jina has it", response_model_exclude_none=True)
    async def rerank_v1(request: RerankRequest) -> RerankResponse:
        return await rerank(judge, request)

    @routes.post("/v2/rerank", summary="Rank answers to a prompt, as Cohere has it", response_model_exclude_none=True)
    async def rerank_v2(request: RerankRequest) -> RerankResponse:
        return await rerank(judge, request)

    return routes


async def score(judge: JudgeService, request: PairsRequest) -> PairsResponse:
    """Answer `/score`."""
    require_served(judge, request.model)
    prompts, answers = ([one] if isinstance(one, str) else one for one in (request.text_1, request.text_2))
    if len(prompts) == 1:
        prompts = prompts * len(answers)
    if len(prompts) != len(answers):
        raise InvalidRequestError(
            f"text_1 has {len(prompts):,} texts and text_2 {len(answers):,}: give one prompt, or as many as answers."
        )
    pairs = [Conversation((prompt,), (answer,)) for prompt, answer in zip(prompts, answers, strict=True)]
    found = await rewards_for(judge, pairs)
    data = [PairScore(index=i, score=one.reward) for i, one in enumerate(found)]
    return PairsResponse(
        id=f"score-{uuid4().hex}", created=int(time()), model=judge.name, data=data, usage=_usage(request, found)
    )


async def rerank(judge: JudgeService, request: RerankRequest) -> RerankResponse:
    """Answer `/rerank`."""
    require_served(judge, request.model)
    texts = request.texts
    found = await ranked(judge, request.query, texts)
    best_first = sorted(range(len(texts)), key=lambda i: -found[i].reward)
    results = [
        RerankResult(
            index=i,
            document=None if request.return_documents is False else DocumentText(text=texts[i]),
            relevance_score=logistic(found[i].reward) if request.activated else found[i].reward,
        )
        for i in best_first[: request.top_n or len(texts)]
    ]
    return RerankResponse(id=f"rerank-{uuid4().hex}", model=judge.name, usage=_usage(request, found), results=results)


def _usage(request: VllmRequest, found: Sequence[AnswerReward]) -> Usage:
    read = [Judged((one.reward,), one.tokens_read) for one in found]
    require_short(read, request.truncate_prompt_tokens)
    return usage_for(read)
