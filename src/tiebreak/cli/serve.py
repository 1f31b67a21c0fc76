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
    load_libraries,
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
        str, typer.Option(help="The address to listen on; 0.0.0.0 for all addresses of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 for a free one.")] = 8000,
    name: Annotated[
        str | None, typer.Option(help="The model name for clients (vLLM's send one); by default the folder's name.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help=f"A file whose first line is the key that clients must send (or set {KEY})."),
    ] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Allow other machines without a key.")] = False,
    queue: Annotated[
        int, typer.Option(min=1, help="Texts that may be queued or being judged; further requests get status 429.")
    ] = 8192,
    max_body: Annotated[int, typer.Option(min=1, help="Limit of a request's body, in MiB.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Time limit of a request, in seconds.")] = 180.0,
    grace: Annotated[float, typer.Option(min=0.0, help="Seconds for requests in flight at shutdown.")] = 30.0,
    policy: Annotated[
        str,
        typer.Option(
            help="The policy whose rendered texts compatibility APIs send: its folder or hub name, a .jinja file, the "
            "name of its chat template (chatml, llama3, gemma ...), or none if it has no chat template. By default the "
            "templates of common model families are tried. A text in another template is refused."
        ),
    ] = "auto",
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
    no_calibration: NoCalibrationOption = False,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log a line for each request, with path and status; no texts.")
    ] = False,
) -> None:
    """Serve a judge over HTTP.

    Open / in a browser to try it. POST /v1/compare, /v1/score and /v1/rank are
    its API, described in /openapi.json; /healthz, /readyz and /metrics
    (Prometheus) are for operation.

    Compatibility APIs serve clients of other reward model servers at a new
    address: OpenRLHF's /get_reward, vLLM's /classify, /score, /rerank and
    /pooling, text-embeddings-inference's /predict and /rerank, SGLang's
    /classify, and LLaMA-Factory's /v1/score/evaluation.

    Concurrent requests are judged in shared batches; results do not depend on
    batching. Texts are not logged.

    [bold]Examples[/]

      tiebreak serve runs/demo

      tiebreak serve runs/demo-pointwise --policy Qwen/Qwen2.5-7B-Instruct

      TIEBREAK_API_KEY=secret tiebreak serve runs/gemma2-9b-reward --host 0.0.0.0 --merge fp8
    """
    require_extra("serve", "serving a judge")
    check_run_and_data(run)
    if "/" in host:
        raise typer.BadParameter(
            f"{host} is a URL. Give a host such as 127.0.0.1, and the port with --port", param_hint="--host"
        )
    key = _key(api_key_file)
    if key is None and not no_key and not _is_loopback(host):
        raise typer.BadParameter(
            f"{host} can be reached from other machines. Set {KEY} (or give --api-key-file), or allow everyone with "
            "--no-key",
            param_hint="--host",
        )
    # Without a GPU, the model leaves one core to the HTTP server: threads waiting for that core would delay all
    # others. torch reads the variable when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
    listening = _listen(host, port)
    load_libraries(run)
    from tiebreak.rewards.policy import policy_parser

    parser = policy_parser(policy, run=run)
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
        policy=parser,
    )
    loopbacks = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    shown = loopbacks.get(host, host)
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        log_level="info" if access_log else "warning",
        access_log=access_log,
        timeout_graceful_shutdown=int(grace) + 1,
    )
    others = " and all other addresses of this machine" if host in loopbacks else ""
    listening.listen(config.backlog)  # a client that connects as soon as it reads the next line waits, but succeeds
    results.print(f"Serving {run} at {url}{others} (API: {url}/openapi.json).", soft_wrap=True)
    log("Press Ctrl-C to stop; accepted requests are answered first." + ("" if key else " No API key is required."))
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn handles the signal while it serves, and afterwards raises it again for the previous handler.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


def _key(file: Path | None) -> str | None:
    """The API key from the file, or from the environment.

    Raises:
        RunError: the file cannot be read, or has no key.
    """
    if file is None:
        return os.environ.get(KEY) or None
    try:
        key = file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read as an API key file: {error}") from error
    if not key:
        raise RunError(f"{file} has an empty first line. Write the API key there.")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. It is bound before the judge is loaded, so that a port in use is reported at once.

    Raises:
        RunError: it cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With the protocol given, asyncio disables Nagle's algorithm, which would delay answers by 40 ms.
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise RunError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Give another --port (0 for a free one) or "
            "--host."
        ) from error
    return listening


def _about(folder: RunFolder, judge: Judge) -> dict[str, Any]:
    """Kind, base model, metrics, verdict and recipe of the run, for `GET /v1/model`."""
    from tiebreak.workflows.verdict import find_verdict

    verdict = None if folder.names_a_model else find_verdict(folder, lambda _: None)
    if verdict is not None and not verdict.usable:
        log(f"{verdict.headline} {verdict.remedy}")
    metrics = _read(folder.metrics, json.loads)
    recipe = _read(folder.recipe, lambda text: read_yaml(text, str(folder.recipe)))
    kind = "blend" if folder.holds_a_blend else "classical" if folder.holds_a_baseline else None
    recipe = recipe if isinstance(recipe, dict) else {}
    return {
        "kind": kind or ("pointwise" if judge.gives_rewards else "pairwise"),
        "base_model": recipe.get("model", {}).get("name") if kind is None else None,
        "metrics": metrics if isinstance(metrics, dict) else None,
        "verdict": None if verdict is None else verdict.to_dict(),
        # Clients need not know the file paths of this machine.
        "recipe": {key: value for key, value in recipe.items() if key not in ("data", "output")} or None,
    }


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    """The parsed file; None if it is missing or damaged."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecipeError):
        return None
