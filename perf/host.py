"""The host side: a file as large as Kaggle's LMSYS data, read, checked and tokenised; and packing.

Tiebreak is compared with `datasets`.

Makes a CSV file of so many rows from real votes (drawn with replacement, a share of the words altered in each draw so
that no two rows are alike), then measures, each in a fresh process and in turns: reading, reading and checking, and
tokenising by Tiebreak; `load_dataset` and `map` with the same tokenizer and the same rendered template, in one process
and in as many as there are cores. Rows/s count the rows of the file; the CPU seconds of tokenising are recorded
too, which depend less on what else the machine does. Last, how well and how fast steps are packed with the settings of
the shipped recipes.

    python perf/host.py --votes lmsys_sample_dev.parquet human3way_train.parquet --tokenizer GEMMA_TOKENIZER
        --work FOLDER --out results/host.json

It needs `pip install datasets`, which Tiebreak itself does not.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from tiebreak import load_recipe
from tiebreak.data import load_comparisons
from tiebreak.data.layouts import KNOWN_COLUMNS, TEXT_COLUMNS, WINNER_COLUMNS
from tiebreak.data.readers.file_formats import read_table
from tiebreak.text import SEED_TEMPLATE, Encoder, pack
from tiebreak.training import StepSampler, make_examples
from tiebreak.types import Comparison

RECIPES = ("gemma2-9b-qlora", "gemma2-9b-t4x2", "seed")
MAX_LENGTH = 2048
PACKED_ROWS = 8000


def make_file(path: Path, sources: Sequence[Path], rows: int) -> None:
    """Rows from each source in turn, in the LMSYS columns; in every text one word in 25 gets two letters exchanged.

    Words that no other row has are what a tokenizer's cache meets in a real file of this size.
    """
    import pandas as pd

    pools = [pd.read_parquet(source).to_dict("records") for source in sources]
    rng = random.Random(0)

    def altered(turn: str | None) -> str | None:
        words = (turn or "").split(" ")
        for place in rng.sample(range(len(words)), len(words) // 25):
            word = words[place]
            if len(word) > 3:
                i = rng.randrange(len(word) - 1)
                words[place] = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        return " ".join(words) if turn else turn

    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(("id", "model_a", "model_b", *TEXT_COLUMNS, *WINNER_COLUMNS))
        for number in range(rows):
            row = rng.choice(pools[number % len(pools)])
            turns = {column: [altered(turn) for turn in json.loads(row[column])] for column in TEXT_COLUMNS}
            turns["prompt"][0] = f"{turns['prompt'][0] or ''} ({number})"
            cells = [json.dumps(turns[column]) for column in TEXT_COLUMNS]
            out.writerow((number, row["model_a"], row["model_b"], *cells, *(row[winner] for winner in WINNER_COLUMNS)))


def ids_digest(ids: Sequence[int]) -> bytes:
    return blake2b(np.asarray(ids, dtype=np.int32).tobytes(), digest_size=8).digest()


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def cpu_seconds() -> float:
    """Of this process, its threads, and the processes it started and saw end."""
    return sum(os.times()[:4])


def by_tiebreak(votes: Path, tokenizer_folder: Path) -> dict[str, Any]:
    """Seconds for each stage; ids of the rows that were not cut."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    encoder = Encoder(tokenizer, SEED_TEMPLATE, MAX_LENGTH)
    loaded = peak_gib()
    began = time.perf_counter()
    for _ in read_table(votes, KNOWN_COLUMNS)[1].rows:
        pass
    read = time.perf_counter()
    comparisons = load_comparisons(votes, votes="required", problem_rows="keep", on_note=print)
    checked, cpu = time.perf_counter(), cpu_seconds()
    encoded = encoder.encode(comparisons)
    done = time.perf_counter()
    return {
        "read": read - began,
        "read_and_check": checked - read,
        "tokenise": done - checked,
        "tokenise_cpu": cpu_seconds() - cpu,
        "together": done - read,
        "rows_cut": sum(bool(e.tokens_lost or e.turns_dropped) for e in encoded),
        "tokens": sum(len(e.ids) for e in encoded),
        "peak_gib": peak_gib(),
        "peak_gib_before": loaded,
        "ids": {
            c.id: ids_digest(e.ids.tolist())
            for c, e in zip(comparisons, encoded, strict=True)
            if not e.tokens_lost and not e.turns_dropped
        },
    }


def by_datasets(votes: Path, tokenizer_folder: Path, cache: Path, processes: int) -> dict[str, Any]:
    """What people write who tokenise with `datasets`; longer texts lose their ends."""
    import datasets

    datasets.disable_progress_bars()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    shutil.rmtree(cache, ignore_errors=True)

    def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
        cells = zip(*(batch[column] for column in TEXT_COLUMNS), strict=True)
        turns = ([tuple(turn or "" for turn in json.loads(cell)) for cell in row] for row in cells)
        texts = [SEED_TEMPLATE.render(Comparison(prompt, a, b)) for prompt, a, b in turns]
        return dict(tokenizer(texts, truncation=True, max_length=MAX_LENGTH))

    began = time.perf_counter()
    rows = datasets.load_dataset("csv", data_files=str(votes), split="train", cache_dir=str(cache))
    read, cpu = time.perf_counter(), cpu_seconds()
    drop = [column for column in rows.column_names if column != "id"]
    mapped = rows.map(tokenise, batched=True, num_proc=processes if processes > 1 else None, remove_columns=drop)
    done = time.perf_counter()
    ids = zip(mapped["id"], mapped["input_ids"], strict=True)
    return {
        "read": read - began,
        "tokenise": done - read,
        "tokenise_cpu": cpu_seconds() - cpu,
        "together": done - began,
        "peak_gib": peak_gib(),
        "ids": {str(row): ids_digest(tokens) for row, tokens in ids},
    }


def packing(votes: Path, tokenizer_folder: Path) -> dict[str, Any]:
    """How steps are packed with the settings of each recipe, and how all rows are for scoring."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    comparisons = load_comparisons(votes, votes="required", problem_rows="keep", on_note=print)[:PACKED_ROWS]
    measured: dict[str, Any] = {}
    for name in RECIPES:
        recipe = load_recipe(name)
        settings = recipe.training
        encoder = Encoder(tokenizer, SEED_TEMPLATE, recipe.text.max_length)
        examples, _ = make_examples(comparisons, encoder, both_orders=settings.both_orders)
        steps = {"training": list(StepSampler(len(examples), batch_size=settings.batch_size, seed=0))}
        steps["training, 64 a step"] = list(StepSampler(len(examples), batch_size=64, seed=0))
        steps["scoring"] = [list(range(len(examples)))]
        for use, batches in steps.items():
            requests = [[examples[i].sequences for i in batch] for batch in batches]
            assert settings.tokens_per_pass != "auto"
            measured[f"{name}, {use}"] = pack_all(requests, settings.tokens_per_pass)
    return measured


def pack_all(steps: Sequence[Sequence[tuple[Any, ...]]], budget: int) -> dict[str, Any]:
    """Passes made and the least there could be; tokens beside those of the sequences; milliseconds a step."""
    passes = least = tokens = saved = padded = given = 0
    times: list[float] = []
    for step in steps:
        sequences = [ids for example in step for ids in example]
        groups = [number for number, example in enumerate(step) for _ in example]
        began = time.perf_counter()
        packs = pack(sequences, tokens_per_pass=budget, groups=groups)
        times.append(1000 * (time.perf_counter() - began))
        step_tokens = sum(item.input_ids.size for item in packs)
        alone = sum(int(item.positions[item.pooled].sum()) + item.pooled.size for item in packs)
        passes += len(packs)
        least += -(-step_tokens // budget)
        tokens += step_tokens
        saved += alone - step_tokens
        given += sum(map(len, sequences))
        padded += len(sequences) * max(map(len, sequences))
    return {
        "steps": len(steps),
        "passes": passes,
        "least_passes": least,
        "surplus_passes": passes / least - 1,
        "tokens": tokens,
        "tokens_for_nothing": tokens + saved - given,
        "tokens_saved_by_sharing": saved / given,
        "padding_if_each_step_were_padded": 1 - given / padded,
        "tokens_a_pass": tokens / passes,
        "ms_a_step_median": statistics.median(times),
        "ms_a_step_p99": sorted(times)[int(0.99 * len(times))],
    }


def in_fresh_process(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=Path, nargs="+", required=True, help="Parquet files in the LMSYS columns")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the Gemma tokenizer")
    parser.add_argument("--work", type=Path, required=True, help="folder for the file that is made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=57_477)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if importlib.util.find_spec("datasets") is None:
        sys.exit("This script measures against the package datasets, which is not here: pip install datasets")
    args.work.mkdir(parents=True, exist_ok=True)
    votes = args.work / f"votes-{args.rows}.csv"
    make_file(votes, args.votes, args.rows)
    cores = len(os.sched_getaffinity(0))
    ways: dict[str, tuple[Any, ...]] = {
        "tiebreak": (by_tiebreak,),
        "datasets, 1 process": (by_datasets, args.work / "cache", 1),
        f"datasets, {cores} processes": (by_datasets, args.work / "cache", cores),
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    ids: dict[str, dict[str, bytes]] = {}
    for _ in range(args.repeats):
        for name, (work, *more) in ways.items():
            run = in_fresh_process(work, votes, args.tokenizer, *more)
            ids[name] = run.pop("ids")
            runs[name].append(run)
            print(name, {key: round(value, 2) for key, value in run.items()}, flush=True)
    expected = ids["tiebreak"]
    record = {
        "date": datetime.date.today().isoformat(),
        "cores": cores,
        "versions": {name: importlib.metadata.version(name) for name in ("tokenizers", "transformers", "datasets")},
        "rows": args.rows,
        "megabytes": round(votes.stat().st_size / 1e6, 1),
        "rows_not_cut": len(expected),
        "of_these_with_equal_ids": {
            name: sum(found.get(row) == row_ids for row, row_ids in expected.items()) for name, found in ids.items()
        },
        "median_seconds": {
            name: {key: statistics.median(run[key] for run in all_runs) for key in all_runs[0]}
            for name, all_runs in runs.items()
        },
        "rows_a_second": {
            name: {
                key: round(args.rows / statistics.median(run[key] for run in all_runs))
                for key in ("read", "read_and_check", "tokenise", "together")
                if key in all_runs[0]
            }
            for name, all_runs in runs.items()
        },
        "runs": runs,
        "packing": in_fresh_process(packing, votes, args.tokenizer),
    }
    args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in record.items() if key != "runs"}, indent=2))


if __name__ == "__main__":
    main()
