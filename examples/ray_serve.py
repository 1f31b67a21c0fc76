"""A judge on a Ray cluster: the app of `tiebreak serve` as a Ray Serve deployment, in as many replicas as are needed.

Each replica loads the run and serves all that `tiebreak serve` does. Ray sends a request to a replica that has few
under way, starts replicas when all have much to do, and stops them again when they have little.

`pip install "ray[serve]"` first: Ray is no dependency of Tiebreak.

    TIEBREAK_GPUS=1 TIEBREAK_API_KEY=secret serve run --app-dir examples ray_serve:build run=/mnt/runs/demo most=4

The run's folder has to be there on every machine, under the same name. `serve build` makes of the same arguments a
file for `serve deploy`, and for KubeRay.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Settings(BaseModel):
    """What `serve run` is given as `key=value`."""

    model_config = ConfigDict(extra="forbid")

    run: Path
    """The run's folder, on each machine."""
    merge: Literal["bf16", "fp8"] | None = None
    """As in `tiebreak serve --merge`."""
    least: int = Field(1, ge=1)
    """Replicas that are always there; none would make the first request wait for a model to load."""
    most: int = Field(2, ge=1)
    busy: int = Field(16, ge=1)
    """Requests a replica is to have under way: more of them start another replica."""
    grace: float = Field(30.0, ge=0)
    """Seconds to finish what was accepted, when a replica is stopped."""


def build(settings: Settings) -> serve.Application:  # Ray reads this annotation: it is not to become a string
    """The application, for `serve run` and `serve.run`.

    The environment it is called in says how many GPUs a replica takes (`TIEBREAK_GPUS`; 0.5 puts two on a card), and
    the API key.
    """
    run, merge, grace = settings.run.resolve(), settings.merge, settings.grace
    # Read here: a machine of the cluster whose environment lacks the key would serve everyone.
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
        # Requests that are under way together are judged together: Ray's default of 5 would keep them apart.
        max_ongoing_requests=8 * settings.busy,
        ray_actor_options={"num_gpus": gpus},
        graceful_shutdown_timeout_s=grace + 5,
    )
    return deployment(serve.ingress(app)()).bind()
