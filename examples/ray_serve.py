"""A judge on a Ray cluster: the app of `tiebreak serve` as a Ray Serve deployment with autoscaled replicas.

Each replica loads the run and serves every path of `tiebreak serve`. Ray sends each request to a replica with few
requests in flight, starts replicas under load, and stops them again.

Ray is not a dependency of Tiebreak. Install it first: `pip install "ray[serve]"`.

    TIEBREAK_GPUS=1 TIEBREAK_API_KEY=secret serve run --app-dir examples ray_serve:build run=/mnt/runs/demo most=4

Every machine needs the run folder at the same path. `serve build`, with the same arguments, writes a configuration file
for `serve deploy` and KubeRay.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Settings(BaseModel):
    """Arguments of `serve run`, as `key=value`."""

    model_config = ConfigDict(extra="forbid")

    run: Path
    """The run folder, on every machine."""
    merge: Literal["bf16", "fp8"] | None = None
    """As in `tiebreak serve --merge`."""
    least: int = Field(1, ge=1)
    """The minimum of replicas. With none, the first request would wait for the model to load."""
    most: int = Field(2, ge=1)
    """The maximum of replicas."""
    busy: int = Field(16, ge=1)
    """The target of requests in flight per replica; above it Ray starts another one."""
    grace: float = Field(30.0, ge=0)
    """Seconds for requests in flight when a replica is stopped."""


def build(settings: Settings) -> serve.Application:  # Ray reads this annotation, so it must not be a string
    """The application, for `serve run` and `serve.run`.

    It reads two environment variables: `TIEBREAK_GPUS`, the GPUs per replica (0.5 puts two replicas on a GPU), and
    `TIEBREAK_API_KEY`.
    """
    run, merge, grace = settings.run.resolve(), settings.merge, settings.grace
    # Read once, here: a machine of the cluster without the variable would serve without a key.
    key = os.environ.get("TIEBREAK_API_KEY") or None
    gpus = float(os.environ.get("TIEBREAK_GPUS", "0"))

    def app() -> "ASGIApp":  # called in each replica
        from tiebreak import load_judge
        from tiebreak.serving import create_app

        return create_app(load_judge(run, merge=merge), name=run.name, api_key=key, grace=grace)

    deployment = serve.deployment(
        name="tiebreak",
        autoscaling_config={
            "min_replicas": settings.least,
            "max_replicas": settings.most,
            "target_ongoing_requests": settings.busy,
        },
        # Concurrent requests are judged in shared batches: Ray's default of 5 would keep the batches small.
        max_ongoing_requests=8 * settings.busy,
        ray_actor_options={"num_gpus": gpus},
        graceful_shutdown_timeout_s=grace + 5,
    )
    return deployment(serve.ingress(app)()).bind()
