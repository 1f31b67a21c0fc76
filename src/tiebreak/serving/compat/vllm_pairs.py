"""vLLM's `/score` and `/rerank`; Jina and Cohere have `/rerank` too. A query is a prompt, documents are answers.

Scores are rewards in nats. A relevance is the logistic function of a reward, between 0 and 1 as for Jina and Cohere,
unless `use_activation` is false. A pairwise judge compares the answers to a prompt with each other. Its rewards have a
mean of 0 over them, so a relevance is relative to the other answers, and that of a single answer is 0.5.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from tiebreak.serving.compat.inputs import one_error
from tiebreak.serving.compat.outputs import AnswerReward, compute_rewards, compute_rewards_for_prompt, logistic
from tiebreak.serving.compat.vllm import (
    TAG,
    Usage,
    VllmError,
    VllmRequest,
    check_model_name,
    check_token_limit,
    new_id,
    usage_for,
)
from tiebreak.serving.errors import InvalidRequestError, error_responses
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiebreak.serving.judge_service import JudgeService

Texts = Annotated[
    StrictStr | Annotated[list[StrictStr], Field(min_length=1)], one_error("give a text, or a list of texts")
]


class PairsRequest(VllmRequest):
    """Prompts and answers: one prompt and any number of answers, or a prompt for each answer."""

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
    """A prompt, and answers to rank."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "1 + 1 = ?", "documents": ["3", "2"], "top_n": 1}]}
    )

    query: StrictStr
    documents: Annotated[
        Annotated[list[StrictStr | DocumentText], Field(min_length=1)],
        one_error('give a list of texts, or of {"text": ...}; not an empty one'),
    ]
    top_n: Annotated[StrictInt, Field(ge=0)] | None = Field(None, description="The number of results; 0 for all.")
    return_documents: StrictBool | None = Field(None, description="Include the documents; true by default.")

    @property
    def texts(self) -> list[str]:
        """The documents as texts."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class PairScore(BaseModel):
    """The score of one answer."""

    index: int
    object: Literal["score"] = "score"
    score: float = Field(description="The reward, in nats.")


class PairsResponse(BaseModel):
    """The scores of the answers, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PairScore]
    usage: Usage = Field(description="0 from a pairwise judge.")


class RerankResult(BaseModel):
    """One answer and its relevance."""

    index: int
    document: DocumentText | None = None
    relevance_score: float


class RerankResponse(BaseModel):
    """Answers from best to worst."""

    id: str
    model: str
    usage: Usage = Field(description="0 from a pairwise judge.")
    results: list[RerankResult]


def vllm_pair_routes(judge: JudgeService) -> APIRouter:
    """vLLM's paths for scores and rankings; `/rerank` and `/v1/score` are in `routing`."""
    routes = APIRouter(tags=[TAG], responses=error_responses(VllmError))

    @routes.post("/score", summary="Rewards of answers to prompts")
    async def score_pairs(request: PairsRequest) -> PairsResponse:
        return await score(judge, request)

    @routes.post("/v1/rerank", summary="Rank answers to a prompt, as Jina does", response_model_exclude_none=True)
    async def rerank_v1(request: RerankRequest) -> RerankResponse:
        return await rerank(judge, request)

    @routes.post("/v2/rerank", summary="Rank answers to a prompt, as Cohere does", response_model_exclude_none=True)
    async def rerank_v2(request: RerankRequest) -> RerankResponse:
        return await rerank(judge, request)

    return routes


async def score(judge: JudgeService, request: PairsRequest) -> PairsResponse:
    """Answer `/score`."""
    check_model_name(judge, request.model)
    prompts, answers = ([texts] if isinstance(texts, str) else texts for texts in (request.text_1, request.text_2))
    if len(prompts) == 1:
        prompts = prompts * len(answers)
    if len(prompts) != len(answers):
        raise InvalidRequestError(
            f"text_1 has {len(prompts):,} texts and text_2 has {len(answers):,}. Give one prompt, or one per answer."
        )
    pairs = [Conversation((prompt,), (answer,)) for prompt, answer in zip(prompts, answers, strict=True)]
    rewards = await compute_rewards(judge, pairs)
    data = [PairScore(index=i, score=answer.reward) for i, answer in enumerate(rewards)]
    return PairsResponse(
        id=new_id("score"), created=int(time()), model=judge.name, data=data, usage=_usage(request, rewards)
    )


async def rerank(judge: JudgeService, request: RerankRequest) -> RerankResponse:
    """Answer `/rerank`."""
    check_model_name(judge, request.model)
    texts = request.texts
    answers = await compute_rewards_for_prompt(judge, request.query, texts)
    rewards = [answer.reward for answer in answers]
    best_first = sorted(range(len(texts)), key=lambda i: -rewards[i])
    results = [
        RerankResult(
            index=i,
            document=None if request.return_documents is False else DocumentText(text=texts[i]),
            relevance_score=logistic(rewards[i]) if request.activated else rewards[i],
        )
        for i in best_first[: request.top_n or len(texts)]
    ]
    return RerankResponse(id=new_id("rerank"), model=judge.name, usage=_usage(request, answers), results=results)


def _usage(request: VllmRequest, rewards: Sequence[AnswerReward]) -> Usage:
    check_token_limit([answer.tokens_read for answer in rewards], request.truncate_prompt_tokens)
    return usage_for(rewards)
