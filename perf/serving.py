"""Throughput of a judge over HTTP compared with direct calls, and a soak test of 10,000 requests.

    python perf/serving.py throughput --votes votes.parquet --out serving.json            # nano, random weights
    python perf/serving.py throughput --shape 9b --precision fp8 --tokenizer FOLDER --votes votes.parquet ...
    python perf/serving.py soak --run runs/demo --out soak.json

`throughput` judges all comparisons in both orders by a direct call ("offline"), serves the same judge with uvicorn in
this process, and sends the comparisons from client processes: one per request over many connections, and 64 per
request. Offline is measured before and after, and the higher rate counts. Then a single client sends one request at a
time. `soak` starts `tiebreak serve`, sends valid and malformed requests, and records the server's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2

from tiebreak.judges import Judge
from tiebreak.types import Comparison

KINDS = ("compare", "compare as given", "batch", "rank", "model", "page")
MALFORMED_SHARE = 0.05


def main() -> None:
    """Run the measurement of the command line, and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("throughput")
    measured.add_argument("--votes", type=Path, help="Comparisons to judge; by default sums.")
    measured.add_argument("--run", type=Path, help="A run to serve; by default random weights of --shape.")
    measured.add_argument("--shape", default="tiny")
    measured.add_argument("--precision", default="bf16")
    measured.add_argument("--tokenizer", type=Path)
    measured.add_argument("--rows", type=int, default=2000)
    measured.add_argument("--max-length", type=int, default=2048)
    measured.add_argument("--clients", type=int, default=128, help="Connections, over all processes.")
    measured.add_argument("--processes", type=int, default=4)
    measured.add_argument("--out", type=Path, required=True)
    soaked = commands.add_parser("soak")
    soaked.add_argument("--run", type=Path, required=True)
    soaked.add_argument("--requests", type=int, default=10_000)
    soaked.add_argument("--clients", type=int, default=32)
    soaked.add_argument("--out", type=Path, required=True)
    client = commands.add_parser("client")
    client.add_argument("--url", required=True)
    client.add_argument("--bodies", type=Path, required=True)
    client.add_argument("--path", required=True)
    client.add_argument("--clients", type=int, required=True)
    options = parser.parse_args()
    if options.command == "client":
        asyncio.run(send_bodies(options))
        return
    results = throughput(options) if options.command == "throughput" else soak(options)
    versions = {name: version(name) for name in ("torch", "transformers", "fastapi", "uvicorn")}
    results = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "versions": versions} | results
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def hardware() -> str:
    """The name of the GPU or CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} x {names[0].partition(': ')[2]}" if names else "CPU"


def throughput(options: argparse.Namespace) -> dict[str, Any]:
    """Comparisons per second, offline and over HTTP."""
    judge, comparisons = judge_and_comparisons(options)
    judge.compare_many(comparisons[: min(len(comparisons), 200)], swap="average")  # warm-up
    results: dict[str, Any] = {}
    before = offline(judge, comparisons)
    url, stop = serve(judge)
    bodies = [{"prompt": c.prompt[0], "answers": [c.answer_a[0], c.answer_b[0]]} for c in comparisons]
    run_clients(url, "/v1/compare", bodies[:256], options)  # warm-up
    results["a request each"] = run_clients(url, "/v1/compare", bodies, options)
    batches = [{"comparisons": bodies[i : i + 64]} for i in range(0, len(bodies), 64)]
    results["requests of 64"] = run_clients(url, "/v1/compare/batch", batches, options)
    alone = latency(url, judge, bodies[:60], comparisons[:60])
    stop()
    after = offline(judge, comparisons)
    best = max(before, after, key=lambda measurement: measurement["comparisons_per_second"])
    expected = [verdict.probabilities for verdict in judge.compare_many(comparisons, swap="average")]
    for measurement in results.values():
        answers = measurement.pop("answers")
        measurement["of_offline"] = round(measurement["comparisons_per_second"] / best["comparisons_per_second"], 4)
        measurement["largest_difference"] = max(
            abs(p - q) for one, other in zip(answers, expected, strict=True) for p, q in zip(one, other, strict=True)
        )
    return {
        "model": str(options.run.name) if options.run else f"{options.shape}, random weights, {options.precision}",
        "comparisons": len(comparisons), "orders": 2,
        "connections": options.clients, "client_processes": options.processes,
        "offline": {"before": before, "after": after}, "served": results, "alone": alone,
    }  # fmt: skip


def judge_and_comparisons(options: argparse.Namespace) -> tuple[Judge, list[Comparison]]:
    """The judge to serve, and single-turn comparisons."""
    from tiebreak import load_judge
    from tiebreak.data import arithmetic_comparisons, load_comparisons

    if options.votes:
        votes = load_comparisons(options.votes, votes="optional", problem_rows="keep", on_note=print)
        comparisons = [Comparison(c.prompt, c.answer_a, c.answer_b) for c in votes if len(c.prompt) == 1]
    else:
        comparisons = list(arithmetic_comparisons(options.rows, seed=1, split="validation"))
    comparisons = (comparisons * (options.rows // len(comparisons) + 1))[: options.rows]
    if options.run:
        return load_judge(options.run), comparisons
    import torch

    from perf.speed import DEVICE, DTYPE, base_model
    from tiebreak.judges.inference import HeadInference
    from tiebreak.judges.pairwise import PairwiseJudge
    from tiebreak.models import TokenBudget, load_tokenizer, use_fused_layers
    from tiebreak.text import Encoder
    from tiebreak.text.template import SEED_TEMPLATE

    torch.manual_seed(0)
    model = base_model(options.shape, options.precision).eval()
    use_fused_layers(model, DTYPE)
    tokens = 16_384 if DEVICE.type == "cuda" else 2_048
    encoder: Encoder[Comparison] = Encoder(load_tokenizer(str(options.tokenizer)), SEED_TEMPLATE, options.max_length)
    return PairwiseJudge(HeadInference(model, encoder, DTYPE, TokenBudget(tokens))), comparisons


def offline(judge: Judge, comparisons: list[Comparison]) -> dict[str, float]:
    """All comparisons in one direct call."""
    started = time.perf_counter()
    orders = judge.compare_orders(comparisons)
    seconds = time.perf_counter() - started
    tokens = sum(verdict.tokens_read for verdicts in orders for verdict in verdicts)
    return {
        "seconds": round(seconds, 3), "comparisons_per_second": round(len(comparisons) / seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
    }  # fmt: skip


def serve(judge: Judge) -> tuple[str, Callable[[], None]]:
    """Serve the judge from a thread of this process: the URL, and a function that stops the server."""
    import uvicorn

    from tiebreak.serving import Limits, create_app

    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    app = create_app(judge, name="measured", limits=Limits(queue=1_000_000, seconds=3600))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    thread.start()
    while not server.started:
        time.sleep(0.05)

    def stop() -> None:
        server.should_exit = True
        thread.join()

    return f"http://127.0.0.1:{listening.getsockname()[1]}", stop


def run_clients(url: str, path: str, bodies: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Send bodies from concurrent processes; timed from the first request to the last answer."""
    processes = max(1, min(options.processes, len(bodies)))
    connections = str(max(1, options.clients // processes))
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number in range(processes):
            file = Path(folder, f"{number}.json")
            file.write_text(json.dumps(bodies[number::processes]))
            command = [sys.executable, __file__, "client", "--url", url, "--bodies", str(file), "--path", path]
            command += ["--clients", connections]
            running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        reports = [json.loads(process.communicate()[0]) for process in running]
    seconds = max(report["ended"] for report in reports) - min(report["began"] for report in reports)
    latencies = sorted(latency for report in reports for latency in report["seconds"])
    answers: list[Any] = [None] * len(bodies)
    for number, report in enumerate(reports):
        answers[number::processes] = report["answers"]
    flat = [row for rows in answers for row in (rows if isinstance(rows[0], list) else [rows])]
    return {
        "seconds": round(seconds, 3), "comparisons_per_second": round(len(flat) / seconds, 2),
        "latency_seconds": {"median": round(statistics.median(latencies), 4),
                            "p99": round(latencies[int(0.99 * (len(latencies) - 1))], 4)},
        "answers": flat,
    }  # fmt: skip


async def send_bodies(options: argparse.Namespace) -> None:
    """A client process: waits for a line on stdin, then keeps all its connections busy."""
    bodies = [json.dumps(body).encode() for body in json.loads(options.bodies.read_text())]
    answers: list[Any] = [None] * len(bodies)
    seconds: list[float] = []
    waiting = iter(range(len(bodies)))

    async def connection(client: httpx2.AsyncClient) -> None:
        headers = {"content-type": "application/json"}
        for number in waiting:
            started = time.perf_counter()
            response = await client.post(options.path, content=bodies[number], headers=headers)
            response.raise_for_status()
            seconds.append(time.perf_counter() - started)
            answer = response.json()
            if "verdicts" in answer:
                answers[number] = [list(verdict["probabilities"].values()) for verdict in answer["verdicts"]]
            else:
                answers[number] = list(answer["probabilities"].values())

    limits = httpx2.Limits(max_connections=options.clients, max_keepalive_connections=options.clients)
    async with httpx2.AsyncClient(base_url=options.url, timeout=3600, limits=limits) as client:
        await client.get("/healthz")
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.time()
        await asyncio.gather(*(connection(client) for _ in range(options.clients)))
        ended = time.time()
    print(json.dumps({"began": began, "ended": ended, "seconds": seconds, "answers": answers}))


def latency(url: str, judge: Judge, bodies: list[dict[str, Any]], comparisons: list[Comparison]) -> dict[str, float]:
    """Median time of one request at a time, and of the same direct call."""
    over_http, directly = [], []
    with httpx2.Client(base_url=url, timeout=600) as client:
        for body, comparison in zip(bodies, comparisons, strict=True):
            started = time.perf_counter()
            client.post("/v1/compare", json=body).raise_for_status()
            over_http.append(time.perf_counter() - started)
            started = time.perf_counter()
            judge.compare_orders([comparison])
            directly.append(time.perf_counter() - started)
    return {
        "median_seconds_over_http": round(statistics.median(over_http), 5),
        "median_seconds_directly": round(statistics.median(directly), 5),
    }


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Mixed requests, 5 % of them malformed or cut off: whether all valid ones are answered correctly."""
    from tiebreak import load_judge
    from tiebreak.data import arithmetic_comparisons

    comparisons = list(arithmetic_comparisons(200, seed=2, split="validation"))
    expected = [max(v.probabilities) for v in load_judge(options.run).compare_many(comparisons, swap="average")]
    command = [sys.executable, "-m", "tiebreak", "serve", str(options.run), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().split(" at ")[1].split()[0]
    pick = random.Random(0)
    kinds = ["bad" if pick.random() < MALFORMED_SHARE else pick.choice(KINDS) for _ in range(options.requests)]
    failed: list[str] = []
    resident: list[float] = []

    def send(client: httpx2.Client, number: int) -> None:
        row = number % len(comparisons)
        try:
            if not is_correct(client, kinds[number], number, comparisons[row], expected[row]):
                failed.append(f"{kinds[number]} {number}")
        except Exception as error:  # any error of a valid request is a failure
            failed.append(f"{kinds[number]} {number}: {type(error).__name__} {error}"[:200])
        if number % 500 == 0:
            resident.append(resident_mib(server.pid))

    started = time.perf_counter()
    with httpx2.Client(base_url=url, timeout=300) as client, ThreadPoolExecutor(options.clients) as threads:
        list(threads.map(lambda number: send(client, number), range(options.requests)))
        seconds = time.perf_counter() - started
        resident.append(resident_mib(server.pid))
    server.terminate()
    return {
        "requests": options.requests, "bad": kinds.count("bad"), "lost": failed[:20], "lost_count": len(failed),
        "seconds": round(seconds, 1), "requests_per_second": round(options.requests / seconds, 1),
        "resident_mib": [round(mib, 1) for mib in resident], "exit_status": server.wait(60),
    }  # fmt: skip


def is_correct(client: httpx2.Client, kind: str, number: int, comparison: Comparison, highest: float) -> bool:
    """Send a request of a kind; whether its answer has the expected highest probability."""

    def is_close(verdict: dict[str, Any]) -> bool:
        return bool(abs(max(verdict["probabilities"].values()) - highest) < 1e-6)

    body = {"prompt": comparison.prompt[0], "answers": [comparison.answer_a[0], comparison.answer_b[0]]}
    if kind == "bad":
        send_malformed(str(client.base_url.host), client.base_url.port or 80, number)
        return True
    if kind in ("model", "page"):
        return client.get("/v1/model" if kind == "model" else "/").status_code == 200
    if kind == "rank":
        return len(client.post("/v1/rank", json=body).json()["ranking"]) == 2
    if kind == "batch":
        answer = client.post("/v1/compare/batch", json={"comparisons": [body] * 3}).json()
        return all(map(is_close, answer["verdicts"]))
    swap = "average" if kind == "compare" else "none"
    verdict = client.post("/v1/compare", json=body | {"swap": swap}).json()
    return kind != "compare" or is_close(verdict)


def send_malformed(host: str, port: int, number: int) -> None:
    """Send a request that is malformed or cut off, and close the connection."""
    text = b'{"prompt": "1 + 1 = ?", "answers": ["2", "3"]}'
    head = b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    valid = head + str(len(text)).encode() + b"\r\n\r\n" + text
    requests = (
        valid[: number % len(valid)],  # cut off
        valid,  # without waiting for the answer
        head + b"3\r\n\r\n{]}",
        head + b"-5\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        head + b"99\r\n\r\n" + b'{"prompt": 1, "answers": ["a"], "more": [[[[]]]]}' + b" " * 50,
    )
    with socket.create_connection((host, port), timeout=10) as raw:
        raw.sendall(requests[number % len(requests)])


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    [line] = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
