"""Requests within and outside of the OpenAPI description never cause a server error."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.unit.serving.judges import FakeJudge
from tiebreak.serving import create_app

pairs = schemathesis.openapi.from_asgi("/openapi.json", create_app(FakeJudge(), name="fake", grace=1))
rewards = schemathesis.openapi.from_asgi("/openapi.json", create_app(FakeJudge(rewards=True), name="fake", grace=1))
KIND = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.filterwarnings("ignore")
@pairs.parametrize()
@KIND
def test_a_pairwise_judge(case: schemathesis.Case) -> None:
    check(case)


@pytest.mark.filterwarnings("ignore")
@rewards.parametrize()
@KIND
def test_a_reward_model(case: schemathesis.Case) -> None:
    check(case)


def check(case: schemathesis.Case) -> None:
    response = case.call()
    assert response.status_code < 500
    case.validate_response(response, checks=[status_code_conformance, response_schema_conformance])
