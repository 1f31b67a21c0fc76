"""`tiebreak serve`."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tiebreak.cli.console import log, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    MergeOption,
    NoCalibrationOption,
    RunArgument,
    check_run_and_data,
    load_judge_with_progress,
)
from tiebreak.errors import RecipeError, RunError
from tiebreak.extras import require_extra
from tiebreak.recipe.yaml import read_yaml
from tiebreak.runs import RunFolder

if TYPE_CHECKING:
    from tiebreak.judges import Judge

KEY: Final = "TIEBREAK_API_KEY"


def command(
    run: RunArgument,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 for all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What clients call the model, as vLLM's must; by default the folder's name.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help=f"A file whose first line clients show as Authorization: Bearer KEY (or set {KEY})."),
    ] = None,
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Serve beyond this machine without a key: to everyone who reaches it.")
    ] = False,
    queue: Annotated[
        int, typer.Option(min=1, help="Texts that may wait or be judged at a time; what comes on top gets status 429.")
    ] = 8192,
    max_body: Annotated[int, typer.Option(min=1, help="MiB that a request's body may have.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a request is given up.")] = 180.0,
    grace: Annotated[float, typer.Option(min=0.0, help="Seconds to finish what was accepted, at shutdown.")] = 30.0,
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
    no_calibration: NoCalibrationOption = False,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="A line a request: path and status, no texts.")
    ] = False,
) -> None:
    """Put a judge behind HTTP.

    - At / is a page to try it on. POST /v1/compare, /v1/score and /v1/rank are its own API, described by
    /openapi.json; /healthz, /readyz and /metrics (Prometheus) are for those who run it.

    - Code that calls a reward model elsewhere needs a new address: OpenRLHF's /get_reward, vLLM's /classify, /score,
    /rerank and /pooling, text-embeddings-inference's /predict and /rerank, SGLang's /classify, and LLaMA-Factory's
    /v1/score/evaluation are answered in their dialects.

    - Requests that come together are judged together, whoever sent them. Texts are not logged.

    [bold]Examples[/]

      tiebreak serve runs/demo

      TIEBREAK_API_KEY=secret tiebreak serve runs/gemma2-9b-reward --host 0.0.0.0 --merge fp8
    """
    require_extra("serve", "serving a judge")
    check_run_and_data(run)
    if "/" in host:
        raise typer.BadParameter(f"{host} is a URL: name a host, as 127.0.0.1, and the port apart", param_hint="--host")
    key = _key(api_key_file)
    if key is None and not no_key and not _is_loopback(host):
        raise typer.BadParameter(
            f"{host} can be reached from other machines: set {KEY} (or give --api-key-file), or serve everyone with "
            "--no-key",
            param_hint="--host",
        )
    # Without a GPU: threads of the model that wait for the core which answers requests would hold up all others. To be
    # said before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
    listening = _listen(host, port)
    judge = load_judge_with_progress(run, base_model, merge, calibrate=not no_calibration)
    import uvicorn

    from tiebreak.serving import Limits, create_app

    app = create_app(
        judge,
        name=name or run.resolve().name,
        limits=Limits(body_bytes=max_body * 1024 * 1024, queue=queue, seconds=timeout),
        api_key=key,
        grace=grace,
        about=_about(RunFolder(run), judge),
    )
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    shown = everywhere.get(host, host)
    place = f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        log_level="info" if access_log else "warning",
        access_log=access_log,
        timeout_graceful_shutdown=int(grace) + 1,
    )
    beyond = " and at every other address of this machine" if host in everywhere else ""
    results.print(f"Serving {run} at {place}{beyond} (API: {place}/openapi.json).", soft_wrap=True)
    log("Ctrl-C stops it, when what was accepted is answered." + ("" if key else " It asks for no key."))
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn handles them while it serves, and then raises them again for whoever handled them before.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


def _key(file: Path | None) -> str | None:
    """The key in the file, or in the environment.

    Raises:
        RunError: the file cannot be read, or holds none.
    """
    if file is None:
        return os.environ.get(KEY) or None
    try:
        key = file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read as a file with an API key: {error}") from error
    if not key:
        raise RunError(f"{file} has an empty first line: write the API key there.")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound before the judge is loaded: a port that is taken is told at once.

    Raises:
        RunError: it cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio turns Nagle's delay off only where the protocol is told: 40 ms an answer.
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise RunError(
            f"Cannot listen at {host}:{port}: {error.strerror or error}. Give another --port (0 takes a free one) or "
            "--host."
        ) from error
    return listening


def _about(folder: RunFolder, judge: Judge) -> dict[str, Any]:
    """What the run's folder says of it."""
    metrics = _read(folder.metrics, json.loads)
    recipe = _read(folder.recipe, lambda text: read_yaml(text, str(folder.recipe)))
    kind = "blend" if folder.holds_a_blend else "classical" if folder.holds_a_baseline else None
    trained = recipe if isinstance(recipe, dict) else {}
    return {
        "kind": kind or ("pointwise" if judge.gives_rewards else "pairwise"),
        "base_model": trained.get("model", {}).get("name") if kind is None else None,
        "metrics": metrics if isinstance(metrics, dict) else None,
        # Where votes and runs lie on this machine is nobody's business.
        "recipe": {key: value for key, value in trained.items() if key not in ("data", "output")} or None,
    }


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    """What a file holds; None where it is missing or damaged."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecipeError):
        return None
