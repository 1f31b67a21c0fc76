"""What `tiebreak check` takes in memory and time for files of 10 thousand to a million rows.

Makes files of votes with texts as long as LMSYS's on average (some 2.5 KB a row), and checks each in a fresh process.

    python perf/check_memory.py [--rows 10000 100000 1000000] [--formats csv jsonl] [--out results/check_memory.json]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COLUMNS = ("id", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie")
WORDS = 60, 180
"""Mean number of words in a prompt and in an answer."""


def make_rows(count: int) -> Iterator[tuple[object, ...]]:
    """Rows with texts drawn from one long text; one row in a hundred repeats the texts of an earlier one."""
    rng = random.Random(0)
    words = " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(20_000))

    def text(mean: int) -> str:
        length = int(rng.expovariate(1 / (6.5 * mean))) + 1
        start = rng.randrange(len(words) - 1_000)
        return json.dumps([words[start : start + length]])

    earlier: tuple[str, ...] = ()
    for number in range(count):
        texts = earlier if number % 100 == 99 else (text(WORDS[0]), text(WORDS[1]), text(WORDS[1]))
        earlier = texts
        winner = rng.randrange(3)
        yield (number, *texts, *(int(i == winner) for i in range(3)))


def write(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            rows.writerows(make_rows(count))
        else:
            file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in make_rows(count))


def check_here(path: Path) -> dict[str, Any]:
    """Check a file in this process."""
    from tiebreak.data import check_file

    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    check = check_file(path)
    return {
        "rows": check.summary.rows,
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_mib_before": round(imported),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--file", type=Path, help="check this file in this process and print the numbers")
    args = parser.parse_args()
    if args.file:
        print(json.dumps(check_here(args.file)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for table_format in args.formats:
            for count in args.rows:
                path = Path(folder, f"votes.{table_format}")
                write(path, count)
                command = [sys.executable, __file__, "--file", str(path)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results.append({"format": table_format, **json.loads(output)})
                print(results[-1], flush=True)
                path.unlink()
    if args.out:
        record = {
            "date": datetime.date.today().isoformat(),
            "cores": len(os.sched_getaffinity(0)),
            "results": results,
        }
        args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
