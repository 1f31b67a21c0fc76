"""Files that are damaged, huge, or made to take memory or time: each is refused in words."""

import gzip
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiebreak.data import check_file, read_candidates, read_table, read_votes
from tiebreak.data.readers.input_file import InputFile
from tiebreak.data.readers.limits import MAX_ROW_BYTES
from tiebreak.data.readers.parquet_metadata import column_chunks, page_sizes, read_footer
from tiebreak.errors import DataError

from .votefiles import lmsys_row, write_csv, write_jsonl, write_parquet

ROW = {"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie"}
LINE = json.dumps(ROW) + "\n"
HEADER = "prompt,response_a,response_b,winner,note\n"
MIB = "x" * 2**20
ROW_LIMIT = "the row is larger than 16,777,216 bytes, the most that is read of one row. Shorten or remove it."


def assert_refused(path: Path, message: str) -> None:
    """Votes read whole, votes in a stream and candidates are refused alike."""
    for read in (lambda: read_votes(path, votes="optional"), lambda: check_file(path), lambda: read_candidates(path)):
        with pytest.raises(DataError) as caught:
            read()
        assert message in str(caught.value)


def dictionary_of(text: str, rows: int) -> pa.Array:
    """A column of one text, which is stored once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def write_columns(path: Path, rows: int, prompt: object, **options: object) -> Path:
    columns = {name: [cell] * rows for name, cell in ROW.items()}
    table = pa.table({**columns, "prompt": prompt})
    pq.write_table(table, path, compression="zstd", store_schema=False, **options)
    return path


@pytest.mark.parametrize("name", ["v.csv", "v.jsonl", "v.parquet", "v.json.gz"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a pipe, not a file: write what it gives to a file, and name that"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.symlink_to("gone.csv"), "is a link to gone.csv, which does not exist: give the file itself"),
        (lambda path: path.mkdir(), "is a folder: name one file of votes in it"),
        (lambda path: path.touch(), "is empty (0 bytes): there is nothing to read in it"),
        (lambda path: None, "does not exist"),
    ],
)
def test_what_is_not_a_file_is_refused_without_opening_it(
    tmp_path: Path, name: str, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / name)
    assert_refused(tmp_path / name, message)


def test_a_socket_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:  # tmp_path may be too long
        server.bind(f"{folder}/v.csv")
        assert_refused(Path(folder, "v.csv"), "is a socket, not a file")


def test_a_name_with_nul_is_refused() -> None:
    assert_refused(Path("a\0.csv"), "'a\\x00.csv' cannot be read: ")


def test_a_file_without_permission_to_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(tmp_path / "v.csv", [lmsys_row()])
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    assert_refused(path, "may not be read: permission denied. Change its permissions, or copy it.")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", HEADER + "p,a,b,tie,r\n" * 3 + "p," + MIB * 20, f"line 5: {ROW_LIMIT} If it is not that long"),
        ("v.csv", HEADER + '\np,"' + (MIB + "\n") * 20, f'line 3: {ROW_LIMIT} If it is not that long, the closing "'),
        ("v.jsonl", LINE + '{"prompt": "' + MIB * 20, f"line 2: {ROW_LIMIT} If it is not that long, the ends of lines"),
        ("v.json", f'[{LINE},{{"prompt": "{MIB * 17}"}}]', f"row 2: {ROW_LIMIT}"),
        ("v.json", " " * (MAX_ROW_BYTES + 1), f"line 1: {ROW_LIMIT}"),
        ("v.json", "[" * 100_000 + "]" * 100_000, "row 1, cannot be read: nested too deeply. Fix or remove that item."),
        ("v.json", "[" * 100_000, "row 1, cannot be read: nested too deeply"),
        ("v.json", '[{"a":' * 60 + "1" + "}]" * 60, "row 1, cannot be read: nested too deeply"),
        ("v.json", f'[{LINE}, {{"id": {"1" * 5_000}}}]', "row 2, cannot be read: has an integer of too many digits"),
        ("v.csv", "," * 20_000 + "\n", "has 20,001 columns; at most 10,000 are read: remove some"),
        ("v.csv", "x" * 5_000 + "\n", "has a column whose name has 5,000 characters"),
        ("v.jsonl", "".join(f'{{"{i}": 1}}\n' for i in range(10_001)), "has 10,001 columns; at most 10,000 are read"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)  # fmt: skip
def test_texts_beyond_a_limit_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    assert_refused(tmp_path / name, message)


def test_rows_up_to_the_limit_are_read(tmp_path: Path) -> None:
    text = "x" * (MAX_ROW_BYTES - 200)
    path = write_jsonl(tmp_path / "v.jsonl", [ROW, {**ROW, "prompt": text}])
    assert read_votes(path, votes="required").comparisons[1].prompt == (text,)
    path = write_csv(tmp_path / "v.csv", [lmsys_row(prompt=text)])
    assert read_votes(path, votes="required").comparisons[0].prompt == (text,)


def test_rows_that_are_nested_too_deeply_are_reported(tmp_path: Path) -> None:
    deep = "[" * 101 + "]" * 101
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[" * 100_000}}]}
    user, reply = {"role": "user", "content": "u"}, {"role": "assistant", "content": "r"}
    (tmp_path / "v.jsonl").write_text(LINE + "[" * 100_000 + f'\n{{"prompt": {deep}}}\n{{"prompt": {deep[1:-1]}}}\n')
    assert [str(problem) for problem in read_votes(tmp_path / "v.jsonl", votes="optional").problems[:2]] == [
        "line 2: is not JSON: nested too deeply",
        "line 3: is not JSON: nested too deeply",
    ]
    path = write_jsonl(tmp_path / "cell.jsonl", [{**ROW, "prompt": '["a", ' + "[" * 100_000, "response_a": '["b"]'}])
    assert "is not a JSON list of turns: nested too deeply" in str(read_votes(path, votes="optional").problems[0])
    path = write_jsonl(tmp_path / "call.jsonl", [{"chosen": [user, call, user, reply], "rejected": [user, reply]}])
    (problem,) = read_votes(path, votes="optional").problems
    assert problem.kind == "turn_mismatch"  # the arguments stay text, as any that are not JSON


def test_a_compressed_file_of_implausible_size_is_refused_before_its_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiebreak.data.readers.limits.FREE_UNPACKED_BYTES", 2**20)
    packed = gzip.compress((HEADER + "p,a,b,tie,r\n" * 500_000).encode())
    (tmp_path / "v.csv.gz").write_bytes(packed)
    file = InputFile(tmp_path / "v.csv.gz")
    with pytest.raises(DataError) as caught:
        next(file.lines())
    sizes = re.search(r"has ([\d,]+) bytes and unpacks to ([\d,]+) or more.", str(caught.value))
    assert sizes
    assert int(sizes[1].replace(",", "")) == len(packed)
    assert 200 * len(packed) < int(sizes[2].replace(",", "")) <= 200 * len(packed) + 2**20
    assert_refused(
        tmp_path / "v.csv.gz",
        "times its size is read. If the file is meant to be like that, unpack it, and give the unpacked file.",
    )


@pytest.mark.parametrize("ending", [b"", b"\xff\xff\xff\x7f"])
def test_a_compressed_file_that_is_cut_off_is_not_called_too_large(tmp_path: Path, ending: bytes) -> None:
    packed = gzip.compress((HEADER + "p,a,b,tie,r\n" * 99).encode())
    (tmp_path / "v.csv.gz").write_bytes(packed[:-8] + ending)
    assert_refused(tmp_path / "v.csv.gz", "cannot be read: Compressed file ended before the end-of-stream marker")


def test_a_compressed_file_of_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiebreak.data.readers.limits.MAX_UNPACKED_BYTES", 2**21)
    noise = random.Random(0).randbytes(2**21).hex()
    content = HEADER + "".join(f"{noise[i : i + 1000]},a,b,tie\n" for i in range(0, len(noise), 1000))
    (tmp_path / "v.csv.gz").write_bytes(gzip.compress(content.encode()))
    with pytest.raises(DataError, match="unpacks to more than 0 GiB, the most that is read"):
        check_file(tmp_path / "v.csv.gz")


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    rows = [lmsys_row(id=str(i), prompt="x" * 1_000) for i in range(3_000)]
    for path in (write_csv(tmp_path / "v.csv", rows), write_jsonl(tmp_path / "v.jsonl", rows)):
        size = path.stat().st_size

        def shrink(done: int, total: int, path: Path = path, size: int = size) -> None:
            os.truncate(path, size // 2)

        with pytest.raises(DataError, match="changed while it was read: try again when it is written completely"):
            check_file(path, on_progress=shrink)
    path = write_parquet(tmp_path / "v.parquet", rows)
    _, table = read_table(path, ("prompt",))
    os.truncate(path, 5_000)
    with pytest.raises(DataError, match="cannot be read after row 0: "):
        list(table.rows)


def test_parquet_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiebreak.data.readers.limits.FREE_UNPACKED_BYTES", 2**25)
    texts = dictionary_of(MIB, 20_000)
    lists = pa.ListArray.from_arrays(pa.array([0, 10_000, 20_000], pa.int32()), texts)
    maps = pa.MapArray.from_arrays(pa.array([0, 10_000], pa.int32()), pa.array(["k"] * 10_000), texts[:10_000])
    prefixes = [f"{MIB}{i}" for i in range(40)]
    delta = {"use_dictionary": False, "column_encoding": {"prompt": "DELTA_BYTE_ARRAY"}}
    for path in (
        write_columns(tmp_path / "dictionary.parquet", 20_000, texts),
        write_columns(tmp_path / "lists.parquet", 2, lists),
        write_columns(tmp_path / "maps.parquet", 1, maps),
        write_columns(tmp_path / "prefixes.parquet", 40, prefixes, **delta),
        write_columns(tmp_path / "page.parquet", 1, ["\0" * (40 * 2**20)], use_dictionary=False),
    ):
        assert path.stat().st_size < 20_000
        assert_refused(
            path, "At most 200 times its size is read. If the file is meant to be like that, write it as JSON"
        )


def test_parquet_rows_and_pages_beyond_a_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_columns(tmp_path / "v.parquet", 3, ["p", MIB * 17, "p"])
    assert_refused(path, f"row 2: {ROW_LIMIT}")
    monkeypatch.setattr("tiebreak.data.readers.parquet_reader.MAX_PAGE_BYTES", 2**20)
    assert_refused(path, "has a page of 17,825,")


def test_long_parquet_texts_are_taken_out_a_few_rows_at_a_time(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "v.parquet", 40, dictionary_of(MIB, 40))
    assert [c.prompt for c in read_votes(path, votes="required").comparisons] == [(MIB,)] * 40


def test_deep_parquet_types_are_refused(tmp_path: Path) -> None:
    kind = pa.string()
    for _ in range(300):
        kind = pa.struct([("a", kind)])
    path = write_columns(tmp_path / "v.parquet", 1, pa.nulls(1, kind))
    assert_refused(path, "cannot be read as Parquet: ")
    assert_refused(path, "nested")


@pytest.mark.parametrize(
    "ids",
    [pa.array([1, 2], pa.timestamp("s", tz="Mars/Base")), pa.array([2**30] * 2, pa.date32())],
    ids=["zone", "day"],
)
def test_parquet_values_that_python_does_not_have_are_refused(tmp_path: Path, ids: pa.Array) -> None:
    columns = {name: [cell] * 2 for name, cell in ROW.items()}
    pq.write_table(pa.table({**columns, "id": ids}), tmp_path / "v.parquet")
    assert_refused(tmp_path / "v.parquet", "v.parquet cannot be read after row 0: ")


def test_a_wrong_number_of_parquet_rows_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "v.parquet", [ROW] * 41)
    data = path.read_bytes()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") :]
    # FileMetaData.num_rows, field 3, comes right before row_groups, a list of one struct in field 4
    count = footer.index(bytes((0x16, 2 * 41, 0x19, 0x1C)))
    for wrong in (40, 42):
        changed = bytearray(data)
        changed[len(data) - len(footer) + count + 1] = 2 * wrong
        path.write_bytes(changed)
        with pytest.raises(DataError, match=rf"metadata count {wrong} rows, but it holds 41"):
            check_file(path)


def test_page_sizes_are_those_that_pyarrow_writes(tmp_path: Path) -> None:
    rows = [{**ROW, "prompt": f"{i}", "response_a": [{"role": "r", "content": f"{i}"}]} for i in range(2_000)]
    options = {"row_group_size": 700, "data_page_size": 999}
    for version in ("1.0", "2.0"):
        path = tmp_path / f"{version}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path, data_page_version=version, **options)
        metadata = pq.ParquetFile(path).metadata
        with path.open("rb") as file:
            chunks = list(column_chunks(read_footer(file, path.stat().st_size, 2**20)))
            assert len(chunks) == metadata.num_row_groups * metadata.num_columns == 15
            for i, chunk in enumerate(chunks):
                expected = metadata.row_group(i // 5).column(i % 5)
                assert (chunk.leaf, chunk.packed) == (i % 5, expected.total_compressed_size)
                sizes = list(page_sizes(file, chunk))
                headers = expected.total_uncompressed_size - sum(sizes)  # which that size includes
                assert 5 * len(sizes) <= headers <= 150 * len(sizes)
                assert len(sizes) > 1


FUZZ = """
import random, sys
from pathlib import Path
from tiebreak.data import check_file
from tiebreak.errors import DataError

path, seeds = Path(sys.argv[1]), int(sys.argv[2])
original = path.read_bytes()
footer = len(original) - 8 - int.from_bytes(original[-8:-4], "little")
outcomes = {"read": 0, "refused": 0}
for seed in range(seeds):
    rng = random.Random(seed)
    data = bytearray(original)
    for _ in range(rng.choice((1, 2, 16))):
        data[rng.randrange(footer if seed % 2 else 0, len(data))] ^= 1 << rng.randrange(8)
    if seed % 8 == 0:
        del data[rng.randrange(len(data)) :]
    path.write_bytes(data or b"x")
    try:
        check_file(path)
        outcomes["read"] += 1
    except DataError:
        outcomes["refused"] += 1
print(outcomes["read"], outcomes["refused"])
"""


def test_damaged_parquet_files_are_refused_or_read_and_never_end_the_process(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "v.parquet", [lmsys_row(id=i, prompt=f"{i % 7} times") for i in range(200)])
    command = [sys.executable, "-c", FUZZ, str(path), "200"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    read, refused = map(int, process.stdout.split())
    assert read + refused == 200
    assert refused > 100


MEMORY = """
import resource, sys
from pathlib import Path
from tiebreak.data import check_file
from tiebreak.errors import DataError

import tiebreak.data.readers.limits
tiebreak.data.readers.limits.FREE_UNPACKED_BYTES = 2**25

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

import numpy, pyarrow.parquet, pyarrow.compute
before = peak()
for path in sys.argv[1:]:
    try:
        check_file(Path(path))
    except DataError:
        print("refused")
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_hostile_files_take_little_memory(tmp_path: Path) -> None:
    huge = json.dumps({**ROW, "prompt": MIB * 17})
    (tmp_path / "line.jsonl").write_text(LINE + huge)
    (tmp_path / "item.json").write_text(f"[{LINE},{huge}]")
    (tmp_path / "cell.csv").write_text(f"{HEADER}p,{MIB * 17},b,tie\n")
    member = gzip.compress(f"p,{MIB},b,tie\n".encode())
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(HEADER.encode()) + member * 40)
    write_columns(tmp_path / "dictionary.parquet", 20_000, dictionary_of(MIB, 20_000))
    write_columns(tmp_path / "page.parquet", 1, ["\0" * (40 * 2**20)], use_dictionary=False)
    files = sorted(map(str, tmp_path.iterdir()))
    output = subprocess.run([sys.executable, "-c", MEMORY, *files], capture_output=True, text=True, check=True).stdout
    *refused, mebibytes = output.split()
    assert refused == ["refused"] * 6
    assert int(mebibytes) < 130, "the row limit is 16 MiB, of which there may be a few copies"
