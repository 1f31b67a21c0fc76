"""What people get wrong: one clear message, a status other than zero, no traceback, nothing lost."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.integration.conftest import small_overrides, tiebreak
from tiebreak import MemoryBudgetError, cli, load_judge, load_recipe, train
from tiebreak.recipe import dump_recipe
from tiebreak.runs import RunFolder
from tiebreak.training import TrainingResult

COLUMNS = ["id", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie"]
GOOD = ["1", "question", "good", "bad", "1", "0", "0"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process, which has torch loaded already: status, output, messages."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tiebreak", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def write_rows(path: Path, *rows: list[str], columns: list[str] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="", errors="surrogatepass") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


# The third row of the file, on line 4, is wrong in one way each.
BAD_ROWS = {
    "multiple winners": (["3", "q", "a", "b", "1", "1", "0"], "winner"),
    "no winner": (["3", "q", "a", "b", "0", "0", "0"], "winner"),
    "non-numeric winner": (["3", "q", "a", "b", "yes", "0", "0"], "'yes'"),
    "both answers empty": (["3", "q", "", "", "0", "0", "1"], "response_a"),
    "one answer empty": (["3", "q", "a", "", "1", "0", "0"], "response_b"),
    "null answers": (["3", '["q"]', "[null]", "[null]", "0", "0", "1"], "response_a"),
    "broken JSON": (["3", '["q"]', '["a', '["b"]', "1", "0", "0"], "response_a"),
    "turns that do not match": (["3", '["q", "r"]', '["a"]', '["b", "c"]', "1", "0", "0"], "2"),
    "duplicated id": (["1", "q", "a", "b", "1", "0", "0"], "id"),
    "a row cut short": (["3", "q", "a"], "line 4"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_and_training_is_refused(
    name: str, tmp_path: Path, tiny_base: Path, run_here: Command
) -> None:
    row, fragment = BAD_ROWS[name]
    path = write_rows(tmp_path / "votes.csv", GOOD, ["2", *GOOD[1:]], row)
    status, _, message = run_here("train", "demo", *small_overrides(tiny_base, (path, path), tmp_path / "run"))
    assert status == 1
    assert f"{path}: 1 of 3 rows cannot be used" in message
    assert "line 4" in message
    assert fragment in message
    assert "problem_rows=skip" in message
    assert not (tmp_path / "run").exists()


def test_check_shows_every_problem_at_once(tmp_path: Path) -> None:
    rows = [[f"{i}", *row[1:]] for i, (row, _) in enumerate(BAD_ROWS.values(), start=10) if row[0] == "3"]
    path = write_rows(tmp_path / "votes.csv", GOOD, *rows, GOOD)
    shown = tiebreak("check", path)
    assert shown.returncode == 1
    for line in range(3, 3 + len(rows) + 1):
        assert re.search(rf"^  line {line}[,:]", shown.stdout, re.MULTILINE), shown.stdout
    as_json = json.loads(tiebreak("check", path, "--json").stdout)
    assert {problem["line"] for problem in as_json["problem_rows"]} >= set(range(3, 3 + len(rows) + 1))
    assert as_json["rows"] == len(rows) + 2


def test_check_counts_before_it_lists_and_ends_with_the_sum(tmp_path: Path) -> None:
    rows = [[f"{i}", "q", "", "b", "1", "0", "0"] for i in range(30)]
    shown = tiebreak("check", write_rows(tmp_path / "votes.csv", GOOD, *rows, ["99", "q", "a", "b", "1", "1", "0"]))
    lines = shown.stdout.splitlines()
    head = lines.index("Rows that cannot be used as they are (31; 30 empty_answer, 1 duplicate_id, 1 several_winners):")
    assert len([line for line in lines[head:] if line.startswith("  line ")]) == 32
    assert lines[-1].startswith("31 of 32 rows cannot be used as they are.")
    one = tiebreak("check", write_rows(tmp_path / "one.csv", GOOD))
    assert one.stdout.splitlines()[-1] == "1 row: all can be used."


def test_check_is_content_with_good_votes_and_counts_oddities(tmp_path: Path) -> None:
    rows = [
        ["1", "q", "a", "b", "1", "0", "0"],
        ["2", "q", "b", "a", "1", "0", "0"],
        ["3", "r", "x", "x", "1", "0", "0"],
    ]
    shown = tiebreak("check", write_rows(tmp_path / "votes.csv", *rows))
    assert shown.returncode == 0
    assert "Votes: A 100.0%" in shown.stdout
    assert "Contradicting votes: 1" in shown.stdout
    assert "2, 3" in shown.stdout
    assert "Identical answers with a winner: lines 4" in shown.stdout


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "no.csv", "does not exist"),
        (lambda p: p, "directory|folder"),
        (lambda p: write_rows(p / "v.csv", GOOD, columns=["id", "prompt", "answer_a", *COLUMNS[3:]]), "response_a"),
        (lambda p: write_rows(p / "v.csv"), "no rows"),
        (lambda p: (p / "v.csv", (p / "v.csv").write_bytes(b""))[0], "empty"),
        (lambda p: (p / "v.xlsx", (p / "v.xlsx").write_bytes(b"x"))[0], r"\.csv"),
        (lambda p: (p / "v.parquet", (p / "v.parquet").write_bytes(b"not parquet"))[0], "v.parquet"),
    ],
    ids=["missing", "folder", "wrong column", "no rows", "empty", "ending", "damaged"],
)
@pytest.mark.parametrize("verb", ["check", "evaluate", "predict"])
def test_a_file_that_cannot_be_read_is_named(
    verb: str, make: Any, message: str, tmp_path: Path, small_run: TrainingResult, run_here: Command
) -> None:
    path = make(tmp_path)
    arguments = [path] if verb == "check" else [small_run.folder, path]
    status, _, stderr = run_here(verb, *arguments, *(["-o", tmp_path / "out.csv"] if verb == "predict" else []))
    assert status == 1
    assert str(path) in stderr
    assert re.search(message, stderr), stderr
    assert not (tmp_path / "out.csv").exists()


def test_strange_texts_are_judged_and_none_is_lost(
    tmp_path: Path, small_run: TrainingResult, run_here: Command
) -> None:
    """Lone surrogates, NUL bytes, 5 MB in a cell, empty answers, special tokens: a submission has every row."""
    rows = [
        {"id": 1, "prompt": "question \ud83d", "response_a": "good", "response_b": "bad"},
        {"id": 2, "prompt": "question \0", "response_a": "good\0", "response_b": "bad"},
        {"id": 3, "prompt": "question", "response_a": "good bad " * 600_000, "response_b": "bad"},
        {"id": 4, "prompt": "question", "response_a": "", "response_b": "bad"},
        {"id": 5, "prompt": "<bos><pad>", "response_a": "<bos>", "response_b": "<bos>"},
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, _, stderr = run_here("predict", small_run.folder, path, "-o", tmp_path / "out.csv")
    assert status == 0, stderr
    assert "1 of 5 comparisons truncated: 1,1" in stderr
    for kind in ("repaired_text", "huge_cell", "empty_answer"):
        assert kind in stderr
    frame = pd.read_csv(tmp_path / "out.csv")
    assert frame["id"].tolist() == [1, 2, 3, 4, 5]
    assert frame.iloc[:, 1:].sum(axis=1).between(1 - 1e-9, 1 + 1e-9).all()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lora.rank=3", "Did you mean lora.r?"),
        ("training.batch_size=many", "'many'"),
        ("lora.target_modules=[no_such_layer]", "no_such_layer"),
        ("data.train_rows=1000", "asks for 1,000 rows where there are 90"),
        ("training.optim=adamm", "transformers refuses"),
        ("text.template=Prompt {prompt} {response_a}", "{response_b}"),
        ("model.name=./nowhere", "There is no folder ./nowhere"),
        ("training.report_to=[nonsense]", "Training cannot begin with these settings"),
        ("training.lr_scheduler_type=cosine_with_min_lr", "Training cannot begin with these settings"),
        ("training.eval_steps=3", "training.save_steps (4) has to be a multiple of training.eval_steps (3)"),
        ("training.metric_for_best_model=f1", "'loss' or 'accuracy'"),
        ("training.max_steps=0", "greater than 0, or -1 for epochs"),
        ("training.save_steps=4.5", "whole number of steps"),
        ("training.seed=-1", "greater than or equal to 0"),
        ("lora.target_modules=[]", "at least one layer"),
        ("lora.layers_to_transform=[0]", "requires a list of target_modules, not all-linear"),
        ("lora={layers_to_transform: [1, 2], target_modules: [q_proj]}", "names 2: the model's layers are 0 to 1"),
        ("lora={layers_to_transform: [-1], target_modules: [q_proj]}", "greater than or equal to 0"),
        ("training.trainer_arguments.adam_beta1=2", "Invalid beta parameter at index 0: 2"),
        ("training.trainer_arguments={save_only_model: true}", "could not be resumed"),
        ("training.trainer_arguments={gradient_checkpointing: true}", "decided by training.gradient_checkpointing"),
        ("training.optim=schedule_free_adamw", "not supported"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_trained(
    override: str, message: str, tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, run_here: Command
) -> None:
    status, _, stderr = run_here("train", "demo", *small_overrides(tiny_base, votes, tmp_path / "run", override))
    assert status == 1
    assert message in " ".join(stderr.split())
    assert not (tmp_path / "run").exists()  # so that the mended command is not refused


def test_a_model_that_cannot_be_measured_leaves_no_folder_behind(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search_budget(*_: Any, **__: Any) -> Any:
        raise MemoryBudgetError("it does not fit")

    overrides = small_overrides(tiny_base, votes, tmp_path / "run", "training.max_steps=4")
    with monkeypatch.context() as full:
        full.setattr("tiebreak.training.finetune.search_budget", search_budget)
        with pytest.raises(MemoryBudgetError, match="it does not fit"):
            train(load_recipe("demo", overrides))
    assert not (tmp_path / "run").exists()
    folder = train(load_recipe("demo", overrides)).folder  # the mended command is not refused
    recipe, environment = folder.recipe.read_bytes(), folder.environment.read_bytes()
    folder.metrics.unlink()
    with monkeypatch.context() as full:
        full.setattr("tiebreak.training.finetune.search_budget", search_budget)
        with pytest.raises(MemoryBudgetError, match="it does not fit"):
            train(load_recipe("demo", overrides), resume=True)
    assert (folder.recipe.read_bytes(), folder.environment.read_bytes()) == (recipe, environment)


def test_a_run_whose_first_step_does_not_fit_leaves_no_folder_behind(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("tiebreak.training.trainer.pack_logits", full)
    with pytest.raises(MemoryBudgetError, match="Out of memory with a single comparison"):
        train(load_recipe("demo", small_overrides(tiny_base, votes, tmp_path / "run", "training.max_steps=4")))
    assert not (tmp_path / "run").exists()  # so that the mended command is not refused


WITHOUT_TORCH = """
import sys
from tiebreak import cli
try:
    cli.main()
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.train=no.csv", "no.csv does not exist"),
        ("data.validation=votes.txt", "is not a known format"),
        ("model.start_from=.", "holds no trained model"),
        ("output=taken", "taken already holds a run"),
        ("training.batch_size=0", "error in the override training.batch_size=0"),
    ],
)
def test_what_can_be_seen_at_once_is_told_before_torch_is_loaded(override: str, message: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "votes.csv", GOOD)
    (tmp_path / "votes.txt").write_text("votes")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "recipe.yaml").touch()
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "train", "demo", "data.train=votes.csv", "output=new", override],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert message in ran.stderr
    assert ran.stdout == "False\n"
    assert not (tmp_path / "new").exists()


def test_a_finished_run_needs_its_votes_no_more(tiny_base: Path, tmp_path: Path, run_here: Command) -> None:
    overrides = small_overrides(tiny_base, (tmp_path / "gone.csv", tmp_path / "gone.csv"), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.begin(dump_recipe(load_recipe("demo", overrides)))
    status, _, stderr = run_here("train", "demo", *overrides, "--resume")
    assert status == 1
    assert "gone.csv does not exist" in stderr
    folder.metrics.write_text('{"loss": 0.5, "accuracy": 0.75}')
    shown = tiebreak("train", "demo", *overrides, "--resume", "--no-baselines", "--json")
    assert "finished already: nothing to do" in shown.stderr
    assert json.loads(shown.stdout)["metrics"] == {"loss": 0.5, "accuracy": 0.75}


def test_a_folder_that_is_no_model_says_so(
    votes: tuple[Path, Path], tmp_path: Path, run_here: Command, tiny_base: Path
) -> None:
    (tmp_path / "empty").mkdir()
    status, _, stderr = run_here("train", "demo", *small_overrides(tmp_path / "empty", votes, tmp_path / "run"))
    assert status == 1
    assert f"{tmp_path / 'empty'} is a folder without a config.json, so it holds no model" in " ".join(stderr.split())


def test_run_folders_that_cannot_be_used(
    small_run: TrainingResult, votes: tuple[Path, Path], tiny_base: Path, tmp_path: Path, run_here: Command
) -> None:
    status, _, stderr = run_here("judge", tmp_path / "no-run", "--prompt", "p", "--a", "a", "--b", "b")
    assert status == 1
    assert "There is no run folder" in stderr

    (tmp_path / "not-a-run").mkdir()
    status, _, stderr = run_here("evaluate", tmp_path / "not-a-run", votes[1])
    assert status == 1
    assert "holds no trained model" in stderr

    def times() -> dict[Path, int]:  # taking the lock opens its file
        return {p: p.stat().st_mtime_ns for p in small_run.folder.path.rglob("*") if p.name != ".lock"}

    before = times()
    status, _, stderr = run_here("train", "demo", *small_overrides(tiny_base, votes, small_run.folder.path))
    assert status == 1
    assert "already holds a run" in stderr
    assert times() == before


@pytest.mark.parametrize("verb", ["evaluate", "predict", "judge"])
def test_the_run_is_looked_at_first(
    verb: str, votes: tuple[Path, Path], small_run: TrainingResult, tmp_path: Path, run_here: Command
) -> None:
    """Before the data are read, and before questions are asked."""
    data = [] if verb == "judge" else [tmp_path / "no.csv"]
    status, _, stderr = run_here(verb, tmp_path / "no-run", *data)
    assert status == 1
    assert "There is no run folder" in stderr
    status, _, stderr = run_here(verb, small_run.folder.model, *data)
    assert status == 1
    assert f"Name the run's: {small_run.folder}." in stderr
    if data:
        status, _, stderr = run_here(verb, votes[1], small_run.folder)
        assert status == 1
        assert f"Name the run first, then the data: {small_run.folder} {votes[1]}" in stderr


def test_a_full_disk_at_the_end_of_judging(
    small_run: TrainingResult, votes: tuple[Path, Path], run_here: Command
) -> None:
    status, _, stderr = run_here("predict", small_run.folder, votes[1], "-o", "/dev/full")
    assert status == 1
    assert "The disk is full: /dev/full" in stderr


class Hub(BaseHTTPRequestHandler):
    """A model hub with one gated model and no other."""

    def do_HEAD(self) -> None:
        gated = "gated" in self.path
        self.send_response(403 if gated else 401)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("X-Error-Message", "Access to this model is restricted" if gated else "Repository not found")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, *_: object) -> None:
        pass


def test_models_the_hub_does_not_give(tmp_path: Path) -> None:
    """Gated, unknown and out of reach, by the real hub client against a server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    program = textwrap.dedent("""
        import sys, time
        from tiebreak.errors import ModelError
        from tiebreak.models import load_tokenizer
        time.sleep = lambda seconds: None  # the hub's client tries for a minute
        for name in sys.argv[1:]:
            try:
                load_tokenizer(name)
            except ModelError as error:
                print(str(error))
    """)

    def ask(endpoint: str, *names: str) -> list[str]:
        environment = {
            "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "PATH": "", "no_proxy": "*",
            "PYTHONPATH": ":".join(sys.path),
        }  # fmt: skip
        shown = subprocess.run(
            [sys.executable, "-c", program, *names],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=True,
        )
        return shown.stdout.splitlines()

    try:
        gated, unknown = ask(f"http://127.0.0.1:{server.server_port}", "someone/gated-model", "someone/no-model")
    finally:
        server.shutdown()
        server.server_close()
    assert "someone/gated-model is gated. Accept its licence" in gated
    assert "hf auth login" in gated
    assert "The hub has no model someone/no-model, or it is private" in unknown
    [unreachable] = ask(f"http://127.0.0.1:{server.server_port}", "someone/model")
    assert "The hub cannot be reached for someone/model" in unreachable


def damaged(run: TrainingResult, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """A copy of a run whose adapter was changed."""
    shutil.copytree(run.folder.path, folder)
    weights = folder / "model" / "adapter_model.safetensors"
    save_file(change(load_file(weights)), weights, metadata={"format": "pt"})
    return folder


def test_a_run_without_its_head_or_with_broken_numbers_does_not_judge(
    small_run: TrainingResult, tmp_path: Path, run_here: Command
) -> None:
    """PEFT itself would go on with a random head and a warning."""
    asked = ("--prompt", "question", "--a", "good", "--b", "bad")
    for part in ("score", "layers.1.mlp.up_proj.lora_B"):
        lacking = damaged(
            small_run, tmp_path / part, lambda w, part=part: {k: v for k, v in w.items() if part not in k}
        )
        status, _, stderr = run_here("judge", lacking, *asked)
        assert status == 1
        assert part in stderr

    broken = damaged(small_run, tmp_path / "broken", lambda w: {k: v * float("nan") for k, v in w.items()})
    status, _, stderr = run_here("judge", broken, *asked)
    assert status == 1
    assert "not finite for 1 of 1" in stderr

    (broken / "model" / "adapter_model.safetensors").write_bytes(b"torn")
    status, _, stderr = run_here("judge", broken, *asked)
    assert status == 1
    assert "cannot be loaded" in stderr


def test_a_base_checkpoint_that_lacks_weights_is_refused(
    votes: tuple[Path, Path], tmp_path: Path, run_here: Command, tiny_base: Path
) -> None:
    for name, change in {
        "lacking": lambda w: {k: v for k, v in w.items() if "layers.1.mlp.up_proj" not in k},
        "misshapen": lambda w: {k: v[:5].clone() if "layers.1.mlp.up_proj" in k else v for k, v in w.items()},
    }.items():
        base = tmp_path / name
        shutil.copytree(tiny_base, base)
        save_file(change(load_file(base / "model.safetensors")), base / "model.safetensors", metadata={"format": "pt"})
        status, _, stderr = run_here(
            "train", "demo", *small_overrides(base, votes, tmp_path / "run", "model.precision=fp32")
        )
        assert status == 1
        assert "layers.1.mlp.up_proj.weight" in stderr
    (base / "model.safetensors").write_bytes(b"torn")
    status, _, stderr = run_here("train", "demo", *small_overrides(base, votes, tmp_path / "run"))
    assert status == 1
    assert "cannot be loaded" in stderr


def test_a_run_that_diverges_says_so(
    votes: tuple[Path, Path], tmp_path: Path, run_here: Command, tiny_base: Path
) -> None:
    overrides = small_overrides(
        tiny_base, votes, tmp_path / "run", "training.learning_rate=1e30", "training.max_grad_norm=0"
    )
    status, _, stderr = run_here("train", "demo", *overrides)
    assert status == 1
    assert "not finite after 4 steps" in stderr


def test_a_base_model_that_moved_is_named_by_an_option(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, run_here: Command, small_run: TrainingResult
) -> None:
    moved = tmp_path / "run"
    shutil.copytree(small_run.folder.path, moved)
    card = moved / "model" / "tiebreak.json"
    card.write_text(card.read_text().replace(str(tiny_base), str(tmp_path / "gone")))
    status, _, stderr = run_here("evaluate", moved, votes[1])
    assert status == 1
    assert "--base-model" in stderr
    status, out, _ = run_here("evaluate", moved, votes[1], "--base-model", tiny_base, "--json")
    assert status == 0
    assert json.loads(out)["loss"] == pytest.approx(small_run.metrics["loss"], abs=1e-6)


def test_checkpoints_that_would_load_as_something_else_are_refused(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, run_here: Command
) -> None:
    for name, change, said_of_it in (
        (
            "quantised",
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
            "was saved quantized",
        ),
        ("linear", {"layer_types": ["sliding_attention", "linear_attention"]}, "linear_attention"),
    ):
        base = tmp_path / name
        shutil.copytree(tiny_base, base)
        config = json.loads((base / "config.json").read_text())
        (base / "config.json").write_text(json.dumps(config | change))
        status, _, stderr = run_here("train", "demo", *small_overrides(base, votes, tmp_path / "run"))
        assert status == 1
        assert said_of_it in " ".join(stderr.split())


def test_what_was_left_to_the_program_is_said(
    small_run: TrainingResult, votes: tuple[Path, Path], tmp_path: Path, run_here: Command
) -> None:
    status, out, _ = run_here("predict", small_run.folder, votes[1], "-o", tmp_path / "out")
    assert status == 0
    assert out.endswith("out: 30 rows, as CSV.\n")
    assert len(pd.read_csv(tmp_path / "out")) == 30
    status, _, stderr = run_here("predict", small_run.folder, votes[1], "-o", tmp_path / "out.xlsx")
    assert status == 1
    assert "not as .xlsx" in stderr
    status, _, stderr = run_here("judge", small_run.folder, "--prompt", " ", "--a", "", "--b", "bad")
    assert status == 0
    assert "Prompt is empty and is judged as an empty text." in stderr
    assert "Answer A is empty" in stderr
    assert "Answer B" not in stderr


def test_a_refused_file_names_the_option_of_the_verb(
    small_run: TrainingResult, tmp_path: Path, run_here: Command
) -> None:
    path = write_rows(tmp_path / "votes.csv", GOOD, BAD_ROWS["multiple winners"][0])
    _, _, stderr = run_here("evaluate", small_run.folder, path)
    assert "give --problem-rows skip to leave these rows out" in stderr
    _, _, stderr = run_here("predict", small_run.folder, path, "-o", tmp_path / "out.csv")
    assert stderr.rstrip().endswith("Fix the file.")


def test_predict_does_not_overwrite_what_it_reads_or_a_runs_own_files(
    small_run: TrainingResult, votes: tuple[Path, Path], run_here: Command
) -> None:
    before = votes[1].read_bytes(), small_run.folder.predictions.read_bytes()
    status, _, stderr = run_here("predict", small_run.folder, votes[1], "-o", votes[1])
    assert status == 1
    assert "is the input file and would be overwritten" in stderr
    status, _, stderr = run_here("predict", small_run.folder, votes[1], "-o", small_run.folder.predictions)
    assert status == 1
    assert "is in a run folder" in stderr
    assert (votes[1].read_bytes(), small_run.folder.predictions.read_bytes()) == before


def test_a_misspelt_swap_is_refused(small_run: TrainingResult) -> None:
    with pytest.raises(ValueError, match="swap is 'avg': it must be 'none', 'average'"):
        load_judge(small_run.folder.path).compare("question", "good", "bad", swap="avg")  # type: ignore[arg-type]


def test_check_refuses_what_training_would(tmp_path: Path) -> None:
    half = write_rows(tmp_path / "half.csv", GOOD, ["2", "q", "a", "b", "", "", ""])
    shown = tiebreak("check", half)
    assert shown.returncode == 1
    assert "line 3, id 2" in shown.stdout
    unlabelled = write_rows(tmp_path / "test.csv", GOOD[:4], columns=COLUMNS[:4])
    shown = tiebreak("check", unlabelled)
    assert shown.returncode == 0
    assert "There are no votes to train on" in shown.stdout
