"""A judge behind HTTP against the same judge asked directly, in one run; and 10,000 requests of which some are bad.

    python perf/serving.py throughput --votes votes.parquet --out serving.json            # nano, trained here
    python perf/serving.py throughput --shape 9b --precision fp8 --tokenizer FOLDER --votes votes.parquet ...
    python perf/serving.py soak --run runs/demo --out soak.json

`throughput` asks a judge for all comparisons in both orders at once (offline), serves it by uvicorn from the same
process, and has client processes ask over HTTP: each comparison a request, from so many connections at a time, and in
requests of 64 comparisons. Offline is measured before and after, and the rate is the higher of the two. Then one client
asks alone. `soak` starts `tiebreak serve` and watches its memory.
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
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2

from tiebreak.judges import Judge
from tiebreak.types import Comparison

KINDS = ("compare", "compare as given", "batch", "rank", "model", "page")
BAD_SHARE = 0.05


def main() -> None:
    """Measure what the command line asks for, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measured = verbs.add_parser("throughput")
    measured.add_argument("--votes", type=Path, help="What is asked; sums for nano without it.")
    measured.add_argument("--run", type=Path, help="A run to serve; without it random weights of a shape.")
    measured.add_argument("--shape", default="tiny")
    measured.add_argument("--precision", default="bf16")
    measured.add_argument("--tokenizer", type=Path)
    measured.add_argument("--rows", type=int, default=2000)
    measured.add_argument("--max-length", type=int, default=2048)
    measured.add_argument("--clients", type=int, default=128, help="Connections, over all processes.")
    measured.add_argument("--processes", type=int, default=4)
    measured.add_argument("--out", type=Path, required=True)
    soaked = verbs.add_parser("soak")
    soaked.add_argument("--run", type=Path, required=True)
    soaked.add_argument("--requests", type=int, default=10_000)
    soaked.add_argument("--clients", type=int, default=32)
    soaked.add_argument("--out", type=Path, required=True)
    asking = verbs.add_parser("client")
    asking.add_argument("--url", required=True)
    asking.add_argument("--bodies", type=Path, required=True)
    asking.add_argument("--path", required=True)
    asking.add_argument("--clients", type=int, required=True)
    given = parser.parse_args()
    if given.verb == "client":
        asyncio.run(ask(given))
        return
    found = throughput(given) if given.verb == "throughput" else soak(given)
    found = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "versions": versions()} | found
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def hardware() -> str:
    """What it ran on."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} x {names[0].partition(': ')[2]}" if names else "CPU"


def versions() -> dict[str, str]:
    """Of what matters here."""
    return {name: version(name) for name in ("torch", "transformers", "fastapi", "uvicorn")}


def throughput(given: argparse.Namespace) -> dict[str, Any]:
    """Comparisons a second, offline and over HTTP."""
    judge, asked = made(given)
    judge.compare_many(asked[: min(len(asked), 200)], swap="average")  # warm
    results: dict[str, Any] = {}
    before = offline(judge, asked)
    url, stop = served(judge)
    bodies = [{"prompt": c.prompt[0], "answers": [c.answer_a[0], c.answer_b[0]]} for c in asked]
    clients(url, "/v1/compare", bodies[:256], given)  # warm
    results["a request each"] = clients(url, "/v1/compare", bodies, given)
    parts = [{"comparisons": bodies[i : i + 64]} for i in range(0, len(bodies), 64)]
    results["requests of 64"] = clients(url, "/v1/compare/batch", parts, given)
    alone = lone(url, judge, bodies[:60], asked[:60])
    stop()
    after = offline(judge, asked)
    best = max(before, after, key=lambda m: m["comparisons_per_second"])
    expected = [(v.model_a, v.model_b, v.tie) for v in judge.compare_many(asked, swap="average")]
    for measured in results.values():
        answers = measured.pop("answers")
        measured["of_offline"] = round(measured["comparisons_per_second"] / best["comparisons_per_second"], 4)
        measured["largest_difference"] = max(
            abs(p - q) for one, other in zip(answers, expected, strict=True) for p, q in zip(one, other, strict=True)
        )
    return {
        "model": str(given.run.name) if given.run else f"{given.shape}, random weights, {given.precision}",
        "comparisons": len(asked), "orders": 2, "connections": given.clients, "client_processes": given.processes,
        "offline": {"before": before, "after": after}, "served": results, "alone": alone,
    }  # fmt: skip


def made(given: argparse.Namespace) -> tuple[Judge, list[Comparison]]:
    """The judge, and single-turn comparisons."""
    from tiebreak import load_judge
    from tiebreak.data import arithmetic_comparisons, load_comparisons

    if given.votes:
        votes = load_comparisons(given.votes, votes="optional", problem_rows="keep", on_note=print)
        asked = [Comparison(c.prompt, c.answer_a, c.answer_b) for c in votes if len(c.prompt) == 1]
    else:
        asked = list(arithmetic_comparisons(given.rows, seed=1, split="validation"))
    asked = (asked * (given.rows // len(asked) + 1))[: given.rows]
    if given.run:
        return load_judge(given.run), asked
    import torch

    from perf.speed import DEVICE, DTYPE, base_model
    from tiebreak.judges.inference import HeadInference
    from tiebreak.judges.pairwise import PairwiseJudge
    from tiebreak.models import TokenBudget, load_tokenizer, use_fused_layers
    from tiebreak.text import Encoder
    from tiebreak.text.template import SEED_TEMPLATE

    torch.manual_seed(0)
    model = base_model(given.shape, given.precision).eval()
    use_fused_layers(model, DTYPE)
    tokens = 16_384 if DEVICE.type == "cuda" else 2_048
    encoder: Encoder[Comparison] = Encoder(load_tokenizer(str(given.tokenizer)), SEED_TEMPLATE, given.max_length)
    return PairwiseJudge(HeadInference(model, encoder, DTYPE, TokenBudget(tokens))), asked


def offline(judge: Judge, asked: list[Comparison]) -> dict[str, float]:
    """All at once, asked directly."""
    started = time.perf_counter()
    orders = judge.compare_orders(asked)
    seconds = time.perf_counter() - started
    tokens = sum(v.tokens_read for both in orders for v in both)
    return {
        "seconds": round(seconds, 3), "comparisons_per_second": round(len(asked) / seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
    }  # fmt: skip


def served(judge: Judge) -> tuple[str, Any]:
    """The judge behind HTTP in this process: where, and how to stop it."""
    import uvicorn

    from tiebreak.serving import Limits, create_app

    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    app = create_app(judge, name="measured", limits=Limits(queue=1_000_000, seconds=3600))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    while True:
        try:
            httpx2.get(f"{url}/readyz").raise_for_status()
            break
        except httpx2.HTTPError:
            time.sleep(0.05)

    def stop() -> None:
        server.should_exit = True
        thread.join()

    return url, stop


def clients(url: str, path: str, bodies: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """Processes that ask at the same time; the time from the first request to the last answer."""
    processes = max(1, min(given.processes, len(bodies)))
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number in range(processes):
            file = Path(folder, f"{number}.json")
            file.write_text(json.dumps(bodies[number::processes]))
            running.append(
                subprocess.Popen(
                    [sys.executable, __file__, "client", "--url", url, "--bodies", str(file), "--path", path,
                     "--clients", str(max(1, given.clients // processes))],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.communicate()[0]) for process in running]
    seconds = max(t["ended"] for t in told) - min(t["began"] for t in told)
    latencies = sorted(s for t in told for s in t["seconds"])
    answers: list[Any] = [None] * len(bodies)
    for number, t in enumerate(told):
        answers[number::processes] = t["answers"]
    flat = [row for rows in answers for row in (rows if isinstance(rows[0], list) else [rows])]
    return {
        "seconds": round(seconds, 3), "comparisons_per_second": round(len(flat) / seconds, 2),
        "latency_seconds": {"median": round(statistics.median(latencies), 4),
                            "p99": round(latencies[int(0.99 * (len(latencies) - 1))], 4)},
        "answers": flat,
    }  # fmt: skip


async def ask(given: argparse.Namespace) -> None:
    """One client process: waits for its word, then keeps its connections busy."""
    bodies = [json.dumps(body).encode() for body in json.loads(given.bodies.read_text())]
    answers: list[Any] = [None] * len(bodies)
    seconds: list[float] = []
    waiting = iter(range(len(bodies)))

    async def connection(client: httpx2.AsyncClient) -> None:
        for number in waiting:
            started = time.perf_counter()
            response = await client.post(
                given.path, content=bodies[number], headers={"content-type": "application/json"}
            )  # fmt: skip
            response.raise_for_status()
            seconds.append(time.perf_counter() - started)
            found = response.json()
            answers[number] = (
                [list(v["probabilities"].values()) for v in found["verdicts"]]
                if "verdicts" in found
                else list(found["probabilities"].values())
            )

    limits = httpx2.Limits(max_connections=given.clients, max_keepalive_connections=given.clients)
    async with httpx2.AsyncClient(base_url=given.url, timeout=3600, limits=limits) as client:
        await client.get("/healthz")
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.time()
        await asyncio.gather(*(connection(client) for _ in range(given.clients)))
        ended = time.time()
    print(json.dumps({"began": began, "ended": ended, "seconds": seconds, "answers": answers}))


def lone(url: str, judge: Judge, bodies: list[dict[str, Any]], asked: list[Comparison]) -> dict[str, float]:
    """One request at a time, beside asking directly."""
    with httpx2.Client(base_url=url, timeout=600) as client:
        over_http, directly = [], []
        for body, comparison in zip(bodies, asked, strict=True):
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


def soak(given: argparse.Namespace) -> dict[str, Any]:
    """Mixed requests, 5 % of them malformed or cut off: are the good ones all answered, and right?"""
    from tiebreak import load_judge
    from tiebreak.data import arithmetic_comparisons

    judge = load_judge(given.run)
    asked = list(arithmetic_comparisons(200, seed=2, split="validation"))
    expected = [max((v.model_a, v.model_b, v.tie)) for v in judge.compare_many(asked, swap="average")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tiebreak", "serve", str(given.run), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split(" at ")[1].split()[0]
    host, port = url.removeprefix("http://").split(":")
    pick = random.Random(0)
    plan = [("bad", i) if pick.random() < BAD_SHARE else (pick.choice(KINDS), i) for i in range(given.requests)]
    lost: list[str] = []
    resident: list[float] = []

    def request(client: httpx2.Client, kind: str, number: int) -> None:
        c = asked[number % len(asked)]
        body = {"prompt": c.prompt[0], "answers": [c.answer_a[0], c.answer_b[0]]}
        if kind == "bad":
            misbehave(host, int(port), number)
            return
        if kind in ("model", "page"):
            right = client.get("/v1/model" if kind == "model" else "/").status_code == 200
        elif kind == "rank":
            right = len(client.post("/v1/rank", json=body).json()["ranking"]) == 2
        elif kind == "batch":
            found = client.post("/v1/compare/batch", json={"comparisons": [body] * 3}).json()["verdicts"]
            right = all(near(v, expected[number % len(asked)]) for v in found)
        else:
            swap = "average" if kind == "compare" else "none"
            found = client.post("/v1/compare", json=body | {"swap": swap}).json()
            right = kind != "compare" or near(found, expected[number % len(asked)])
        if not right:
            lost.append(f"{kind} {number}")

    def near(verdict: dict[str, Any], highest: float) -> bool:
        return abs(max(verdict["probabilities"].values()) - highest) < 1e-6

    def guarded(client: httpx2.Client, kind: str, number: int) -> None:
        try:
            request(client, kind, number)
        except Exception as error:  # whatever it is, a good request was lost by it
            lost.append(f"{kind} {number}: {type(error).__name__} {error}"[:200])
        if number % 500 == 0:
            resident.append(memory(process.pid))

    started = time.perf_counter()
    with httpx2.Client(base_url=url, timeout=300) as client, ThreadPoolExecutor(given.clients) as threads:
        list(threads.map(lambda job: guarded(client, *job), plan))
        seconds = time.perf_counter() - started
        last = memory(process.pid)
    process.terminate()
    status = process.wait(60)
    return {
        "requests": given.requests, "bad": sum(kind == "bad" for kind, _ in plan), "lost": lost[:20],
        "lost_count": len(lost), "seconds": round(seconds, 1),
        "requests_per_second": round(given.requests / seconds, 1),
        "resident_mib": [round(m, 1) for m in (*resident, last)], "exit_status": status,
    }  # fmt: skip


def misbehave(host: str, port: int, number: int) -> None:
    """A request that is malformed, or cut off at some point."""
    text = b'{"prompt": "1 + 1 = ?", "answers": ["2", "3"]}'
    head = b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    whole = head + str(len(text)).encode() + b"\r\n\r\n" + text
    bad = (
        whole[: number % len(whole)],  # cut off
        whole,  # whole, and nobody waits for the answer
        head + b"3\r\n\r\n{]}",
        head + b"-5\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        head + b"99\r\n\r\n" + b'{"prompt": 1, "answers": ["a"], "more": [[[[]]]]}' + b" " * 50,
    )
    with socket.create_connection((host, port), timeout=10) as raw:
        raw.sendall(bad[number % len(bad)])


def memory(pid: int) -> float:
    """Resident, in MiB."""
    [line] = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
