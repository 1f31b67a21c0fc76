"""The main job on a tiny model: votes in, a judge out; what was trained is what judges."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from tests.integration.conftest import small_votes, tiebreak
from tiebreak import Comparison, DataError, RecipeError, RunError, load_judge, load_recipe, train
from tiebreak.data import arithmetic_comparisons, load_comparisons
from tiebreak.data.writer import write_comparisons
from tiebreak.errors import ModelError
from tiebreak.judges import Merge
from tiebreak.metrics import preference_metrics
from tiebreak.models import load_base, load_trained
from tiebreak.runs import prompt_hashes, read_orders, read_training_prompts, read_validation_rows
from tiebreak.training import TrainingResult
from tiebreak.training.splits import split_votes
from tiebreak.types import A_WINS, B_WINS
from tiebreak.workflows.orders import judge_both_orders


def probabilities(judge: Any, comparisons: Any, **options: Any) -> np.ndarray:
    return np.array([(v.model_a, v.model_b, v.tie) for v in judge.compare_many(comparisons, **options)])


def test_a_run_learns_and_leaves_a_whole_folder(small_run: TrainingResult) -> None:
    folder = small_run.folder
    assert small_run.metrics["loss"] < 0.9  # 1.0986 before it learned
    for path in (folder.recipe, folder.environment, folder.history, folder.predictions, folder.metrics):
        assert path.stat().st_size > 0, path
    assert json.loads(folder.metrics.read_text()) == small_run.metrics
    history = folder.read_history()
    assert [line["step"] for line in history if "loss" in line] == [2, 4, 6, 8, 10, 12]
    validated = {line["step"]: line["eval_loss"] for line in history if "eval_loss" in line}
    assert list(validated) == [4, 8, 12]
    # The model that is kept is the best one, not the last one.
    assert small_run.metrics["loss"] == pytest.approx(min(validated.values()), abs=1e-6)
    assert len(list(folder.checkpoints.glob("checkpoint-*"))) <= 2
    assert load_recipe(folder.recipe).output == folder.path
    packages = json.loads(folder.environment.read_text())["packages"]
    assert packages["torch"] == torch.__version__


@pytest.mark.parametrize("kind", ["language model", "baseline"])
def test_a_run_keeps_its_validation_rows_and_hashes_of_its_training_prompts(
    kind: str, small_run: TrainingResult, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = small_run.folder
    if kind == "baseline":
        overrides = [f"data.train={votes[0]}", f"data.validation={votes[1]}", f"output={tmp_path / 'run'}"]
        folder = train(load_recipe("baseline-prior", overrides)).folder
    training, validation, _ = split_votes(load_recipe(folder.recipe).data, print)
    rows = read_validation_rows(folder)
    assert rows is not None
    assert rows.comparisons == validation
    assert pd.read_parquet(folder.predictions)["id"].tolist() == [row.id for row in rows.comparisons]
    assert rows.source == str(votes[1])
    prompts = read_training_prompts(folder)
    assert prompts is not None
    assert np.array_equal(prompts, np.unique(prompt_hashes(row.prompt[0] for row in training)))
    assert not folder.orders.exists()  # the tiny model is not the built-in one, and a baseline has no order


def test_a_run_of_the_built_in_model_keeps_calibrated_probabilities_in_both_orders(tmp_path: Path) -> None:
    write_comparisons(tmp_path / "votes.csv", arithmetic_comparisons(300, seed=0, split="train"))
    overrides = [
        f"data.train={tmp_path / 'votes.csv'}", "data.validation=null", "data.validation_rows=30",
        "data.calibration_rows=110", f"output={tmp_path / 'run'}", "training.max_steps=2", "training.report_to=[]",
        "training.learning_rate=1e-2", "training.warmup_steps=0",
    ]  # fmt: skip
    folder = train(load_recipe("demo", overrides)).folder
    rows = read_validation_rows(folder)
    assert rows is not None
    kept = read_orders(folder, [row.id for row in rows.comparisons])
    assert kept is not None
    predictions = pd.read_parquet(folder.predictions)[["winner_model_a", "winner_model_b", "winner_tie"]]
    np.testing.assert_allclose(kept.as_given, predictions, atol=1e-12)
    again = judge_both_orders(folder.path)
    assert again is not None
    np.testing.assert_allclose(kept.as_given, again.as_given, atol=1e-6)
    np.testing.assert_allclose(kept.swapped, again.swapped, atol=1e-6)
    assert np.abs(kept.as_given - kept.swapped).max() > 1e-3


def test_reload_equals_memory(small_run: TrainingResult, votes: tuple[Path, Path]) -> None:
    """The validation probabilities a run kept come out of the reloaded judge, and their metrics with them."""
    kept = pd.read_parquet(small_run.folder.predictions)
    comparisons = load_comparisons(votes[1], votes="required")
    assert kept["id"].tolist() == [c.id for c in comparisons]
    again = probabilities(load_judge(small_run.folder.path), comparisons)
    np.testing.assert_allclose(kept[["winner_model_a", "winner_model_b", "winner_tie"]], again, atol=1e-6)
    assert preference_metrics(again, [c.vote for c in comparisons])["loss"] == pytest.approx(small_run.metrics["loss"])


@pytest.mark.parametrize("merge", ["bf16", "fp8"])
def test_a_merged_judge_is_near_the_trained_one(
    small_run: TrainingResult, votes: tuple[Path, Path], merge: Merge
) -> None:
    """Not equal: it was trained on a base in 4 bits, and is merged into the base as it was."""
    comparisons = load_comparisons(votes[1], votes="required")
    trained = probabilities(load_judge(small_run.folder.path), comparisons)
    log: list[str] = []
    merged = probabilities(load_judge(small_run.folder.path, merge=merge, device="cpu", log=log.append), comparisons)
    assert [line.startswith("The CPU has no FP8 products: ") for line in log] == [True] * (merge == "fp8")
    distance = np.abs(np.array(merged) - np.array(trained))
    assert 0 < distance.max() < 0.1


def test_the_head_is_trained_in_float32_and_comes_back_bit_for_bit(small_run: TrainingResult, tiny_base: Path) -> None:
    saved = load_file(small_run.folder.model / "adapter_model.safetensors")
    [name] = [n for n in saved if "score" in n]
    assert saved[name].dtype == torch.float32
    fresh = load_base(str(tiny_base), precision="nf4", device=torch.device("cpu"), seed=42)
    assert type(fresh.score) is torch.nn.Linear
    assert not torch.equal(fresh.score.weight, saved[name])
    loaded = load_trained(fresh, small_run.folder.model)
    assert torch.equal(loaded.get_base_model().score.modules_to_save["default"].weight, saved[name])


def test_swapping_the_data_swaps_the_metrics_classes(small_run: TrainingResult, votes: tuple[Path, Path]) -> None:
    """With swap="average" the judge has no side, so the swapped file gives the same numbers under the other name."""
    judge = load_judge(small_run.folder.path)
    comparisons = load_comparisons(votes[1], votes="required")[:-7]  # unequal classes
    swapped = [c.swap() for c in comparisons]
    plain = preference_metrics(probabilities(judge, comparisons, swap="average"), [c.vote for c in comparisons])
    mirrored = preference_metrics(probabilities(judge, swapped, swap="average"), [c.vote for c in swapped])
    for first, second in (("a", "b"), ("b", "a")):
        for measure in ("loss", "accuracy"):
            assert plain[f"{measure}_model_{first}"] == pytest.approx(mirrored[f"{measure}_model_{second}"], abs=1e-6)
    assert plain["loss"] == pytest.approx(mirrored["loss"], abs=1e-6)
    assert plain["loss_model_a"] != pytest.approx(plain["loss_model_b"], abs=1e-3)


def test_a_verdict_depends_on_nothing_but_its_comparison(small_run: TrainingResult) -> None:
    comparisons = small_votes(23)
    together = probabilities(load_judge(small_run.folder.path), comparisons)
    cramped = load_judge(small_run.folder.path, tokens_per_pass=1)
    np.testing.assert_allclose(probabilities(cramped, comparisons), together, atol=1e-6)
    verdict = cramped.compare("question 3 0 0 ?", "good answer", "bad answer")
    alone = Comparison(("question 3 0 0 ?",), ("good answer",), ("bad answer",))
    np.testing.assert_allclose((verdict.model_a, verdict.model_b, verdict.tie), probabilities(cramped, [alone])[0])
    assert verdict.model_a + verdict.model_b + verdict.tie == pytest.approx(1)
    assert verdict.answer == "model_a"


AS_A_LIBRARY = """
import logging, sys
from tiebreak import load_judge
judge = load_judge(sys.argv[1])
from transformers.utils import logging as of_transformers
print(of_transformers.get_verbosity() == logging.WARNING, logging.getLogger("bitsandbytes").level)
"""


def test_a_judge_is_loaded_without_a_word_of_missing_weights(small_run: TrainingResult) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", AS_A_LIBRARY, str(small_run.folder)], capture_output=True, text=True, check=True
    )
    for noise in ("MISSING", "kernels", "FutureWarning", "Loading weights"):
        assert noise not in loaded.stderr
    assert loaded.stdout == "True 0\n"  # and the libraries speak as before


def test_frames_in_and_out(small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    votes = small_votes(6)
    frame = pd.DataFrame(
        {"prompt": [c.prompt[0] for c in votes], "response_a": [c.answer_a[0] for c in votes],
         "response_b": [c.answer_b[0] for c in votes], "winner": "not looked at"}, index=list("uvwxyz"),
    )  # fmt: skip
    judged = judge.compare_frame(frame)
    assert judged.index.tolist() == list("uvwxyz")
    np.testing.assert_allclose(
        judged[["winner_model_a", "winner_model_b", "winner_tie"]], probabilities(judge, votes), atol=1e-9
    )
    assert judged["answer"].tolist() == [v.answer for v in judge.compare_many(votes)]
    with pytest.raises(DataError, match=r"lacks response_b \(rename 'reponse_b'\?\)"):
        judge.compare_frame(frame.rename(columns={"response_b": "reponse_b"}))
    pairs = frame.rename(columns={"response_a": "chosen", "response_b": "rejected"})
    with pytest.raises(DataError, match="lacks response_a, response_b"):  # which of them would be A?
        judge.compare_frame(pairs)
    numbers = judge.compare_frame(pd.DataFrame({"prompt": ["question ?"], "response_a": [7], "response_b": [8.0]}))
    assert numbers["winner_model_a"].tolist() == [judge.compare("question ?", "7", "8").model_a]


@pytest.mark.parametrize("wrong", [None, 7, b"good", ["good", None], {"good"}])
def test_what_is_no_text_is_named(wrong: Any, small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    for place, name in enumerate(("prompt", "a", "b")):
        texts: list[Any] = ["question ?", "good", "bad"]
        texts[place] = wrong
        with pytest.raises(TypeError, match=f"^{name} is .*: give a string, or a list of strings, one per turn"):
            judge.compare(*texts)


def test_a_judge_reads_no_more_than_it_was_trained_to(small_run: TrainingResult) -> None:
    verdict = load_judge(small_run.folder.path).compare("question ?", "good answer " * 500, "bad")
    assert verdict.tokens_lost > 900


def test_a_run_goes_on_from_an_earlier_one(small_run: TrainingResult, small_recipe: Any, tmp_path: Path) -> None:
    """Going on keeps adapter and head: the first validation is no worse than the earlier run's last one."""
    start = f"model.start_from={small_run.folder}"
    later = train(small_recipe(start, "training.learning_rate=1e-6", "training.max_steps=4"))
    assert later.metrics["loss"] == pytest.approx(small_run.metrics["loss"], abs=5e-3)

    reset = train(
        small_recipe(
            start,
            "model.reset_head=true",
            "training.learning_rate=1e-6",
            "training.max_steps=4",
            output=tmp_path / "reset",
        )
    )
    earlier = load_file(small_run.folder.model / "adapter_model.safetensors")
    kept = load_file(reset.folder.model / "adapter_model.safetensors")
    [head] = [n for n in kept if "score" in n]
    assert (kept[head] - earlier[head]).norm() > 0.1 * earlier[head].norm()
    body = next(n for n in kept if "lora_B" in n)
    torch.testing.assert_close(kept[body], earlier[body], atol=1e-4, rtol=0)

    with pytest.raises(ModelError, match=r"has r=16, the recipe 4\. Set lora\.r=16"):
        train(small_recipe(start, "lora.r=4", output=tmp_path / "other"))
    with pytest.raises(RunError, match="no trained model"):
        train(small_recipe(f"model.start_from={tmp_path}", output=tmp_path / "other2"))


@pytest.mark.parametrize("precision", ["nf4", "int8", "bf16", "fp16", "fp32"])
def test_every_precision_trains_saves_and_reloads(precision: str, small_recipe: Any, votes: tuple[Path, Path]) -> None:
    """float16 on a CPU is slow but real; the compute type follows the weights'."""
    result = train(small_recipe(f"model.precision={precision}", "training.both_orders=true"))
    assert result.metrics["loss"] < 1.05
    again = probabilities(load_judge(result.folder.path), load_comparisons(votes[1], votes="required"))
    kept = pd.read_parquet(result.folder.predictions)[["winner_model_a", "winner_model_b", "winner_tie"]]
    np.testing.assert_allclose(kept, again, atol=1e-6)


def test_validation_does_not_break_the_gradients_of_4_bit_weights(tiny_base: Path) -> None:
    """bitsandbytes 0.50 on CPUs with AVX512-BF16 would repack the weights for a kernel without a backward pass."""
    from tests.unit.training.conftest import gradients
    from tiebreak.models import TokenBudget, add_adapter, lora_config, pack_logits, predict_logits
    from tiebreak.text import pack

    base = load_base(str(tiny_base), precision="nf4", device=torch.device("cpu"))
    model = add_adapter(base, lora_config(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"))
    assert isinstance(model, PeftModel)
    ids = [np.arange(3, 15, dtype=np.int32), np.arange(5, 9, dtype=np.int32)]

    def step() -> dict[str, torch.Tensor]:
        model.zero_grad()
        [item] = pack(ids, tokens_per_pass=64)
        pack_logits(model, item, torch.float32).square().sum().backward()
        return gradients(model)

    before = step()
    predict_logits(model, ids, compute_dtype=torch.float32, budget=TokenBudget(64))
    after = step()
    assert before.keys() == after.keys()
    assert sum(float(g.abs().sum() > 0) for g in before.values()) >= 8
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, msg=lambda m, n=name: f"{n}: {m}")


def test_the_command_line_from_votes_to_submission(tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> None:
    """The commands a user types, each in a process of its own."""
    from tests.integration.conftest import small_overrides

    run = tmp_path / "run"
    trained = tiebreak("train", "demo", *small_overrides(tiny_base, votes, run), "--no-baselines", "--json")
    assert trained.returncode == 0, trained.stderr
    metrics = json.loads(trained.stdout)["metrics"]
    assert "training loss" in trained.stderr

    evaluated = tiebreak("evaluate", run, votes[1], "--json")
    assert json.loads(evaluated.stdout)["loss"] == pytest.approx(metrics["loss"], abs=1e-6)

    test = tmp_path / "test.jsonl"
    asked = small_votes(20)
    test.write_text(
        "".join(
            json.dumps({"id": c.id, "prompt": c.prompt[0], "response_a": c.answer_a[0], "response_b": c.answer_b[0]})
            + "\n"
            for c in reversed(asked)
        )
    )
    predicted = tiebreak("predict", run, test, "-o", tmp_path / "submission.csv", "--swap", "average")
    assert predicted.returncode == 0, predicted.stderr
    submission = pd.read_csv(tmp_path / "submission.csv")
    assert list(submission) == ["id", "winner_model_a", "winner_model_b", "winner_tie"]
    assert submission["id"].tolist() == [c.id for c in reversed(asked)]
    np.testing.assert_allclose(submission.iloc[:, 1:].sum(axis=1), 1, atol=1e-12)

    judged = tiebreak("judge", run, "--prompt", "question 1 2 0 ?", "--a", "good answer", "--b", "bad answer")
    assert judged.returncode == 0, judged.stderr
    assert judged.stdout.splitlines()[-1] == "Answer: Model a"


def test_the_chosen_answer_is_a_in_what_predict_writes(
    small_run: TrainingResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner

    from tiebreak.cli import app

    votes = [c for c in small_votes(60) if c.vote == A_WINS]
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "".join(
            json.dumps({"id": i, "prompt": c.prompt[0], "chosen": c.answer_a[0], "rejected": c.answer_b[0]}) + "\n"
            for i, c in enumerate(votes)
        )
    )
    judged = [c.vote for c in load_comparisons(path, votes="optional")]
    assert 0 < judged.count(A_WINS) < len(votes)
    run = str(small_run.folder)
    out = str(tmp_path / "out.parquet")
    result = CliRunner().invoke(app, ["predict", run, str(path), "-o", out, "--swap", "average"])
    assert "Model a is the chosen answer in every row" in result.stderr
    frame = pd.read_parquet(out)
    assert frame["id"].tolist() == list(range(len(votes)))  # numbers, as in the input
    wanted = probabilities(load_judge(run), votes, swap="average")
    np.testing.assert_allclose(frame[["winner_model_a", "winner_model_b", "winner_tie"]], wanted, atol=1e-6)

    result = CliRunner().invoke(app, ["evaluate", run, str(path), "--json"])
    assert f"A in {judged.count(A_WINS)} rows, B in {judged.count(B_WINS)}." in result.stderr
    assert {"accuracy", "accuracy_model_a", "loss_model_b"} <= json.loads(result.stdout).keys()

    row = next(i for i, vote in enumerate(judged) if vote == B_WINS)
    path.write_text(path.read_text().splitlines()[row])
    result = CliRunner().invoke(app, ["judge", run, "--file", str(path), "--json", "--swap", "average"])
    assert "Model a is the chosen answer, model b the rejected one." in result.stderr
    assert json.loads(result.stdout)["model_a"] == pytest.approx(wanted[row][0], abs=1e-6)


def test_votes_can_be_split_off_the_training_file(small_recipe: Any, votes: tuple[Path, Path], tmp_path: Path) -> None:
    write_comparisons(tmp_path / "all.csv", small_votes(60))
    result = train(
        small_recipe(
            f"data.train={tmp_path / 'all.csv'}", "data.validation=null", "data.validation_rows=12",
            "data.train_rows=20",            "training.max_steps=4", "model.precision=fp32",
        )
    )  # fmt: skip
    assert len(pd.read_parquet(result.folder.predictions)) == 12


def test_a_comparison_comes_from_a_file_or_from_answers_to_questions(small_run: TrainingResult, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tiebreak.cli import app

    one = {"prompt": ["question 1 2 0 ?"], "response_a": ["good answer"], "response_b": ["bad answer"]}
    path = tmp_path / "one.json"
    path.write_text(json.dumps([one]))
    from_file = CliRunner().invoke(app, ["judge", str(small_run.folder), "--file", str(path)])
    asked = CliRunner().invoke(
        app, ["judge", str(small_run.folder)], input="question 1 2 0 ?\ngood answer\nbad answer\n"
    )
    assert from_file.stdout.splitlines()[-1] == asked.stdout.splitlines()[-1] == "Answer: Model a"
    path.write_text(json.dumps([one, one]))
    two = CliRunner().invoke(app, ["judge", str(small_run.folder), "--file", str(path)])
    assert "holds 2 comparisons" in str(two.exception)


def test_prompts_on_both_sides_and_texts_longer_than_the_model_are_told(
    small_recipe: Any, votes: tuple[Path, Path]
) -> None:
    log: list[str] = []
    train(small_recipe(f"data.validation={votes[0]}", "training.max_steps=1"), log=log.append)
    assert any("90 of 90 validation rows have prompts that occur in training rows too" in line for line in log)
    with pytest.raises(RecipeError, match=r"text\.max_length is 600 tokens, and .* was made for 512"):
        train(small_recipe("text.max_length=600", output=Path("nowhere")))


def test_the_history_goes_to_tensorboard_and_to_the_users_own_callbacks(small_recipe: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        seen = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.seen = state.global_step

    steps = Steps()
    result = train(small_recipe("training.report_to=[tensorboard]", "training.max_steps=4"), callbacks=[steps])
    assert steps.seen == 4
    events = EventAccumulator(str(result.folder.tensorboard)).Reload()
    logged = [line["loss"] for line in result.folder.read_history() if "loss" in line]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(logged)


def test_a_recipe_without_a_model_says_which_one_it_takes(votes: tuple[Path, Path], tmp_path: Path) -> None:
    from tests.integration.conftest import small_overrides

    (tmp_path / "mine.yaml").write_text("lora: {r: 4}\n")
    for name, wanted in (((), True), (("model.name=nano",), False)):
        log: list[str] = []
        overrides = [o for o in small_overrides(tmp_path, votes, tmp_path / f"run-{wanted}") if "model.name" not in o]
        train(
            load_recipe(tmp_path / "mine.yaml", [*overrides, *name, "training.max_steps=1", "text.max_length=64"]),
            log=log.append,
        )
        assert any("names no model, so the built-in nano is used" in line for line in log) == wanted


def test_training_stops_early_when_nothing_gets_better(small_recipe: Any) -> None:
    settings = ("training.max_steps=100", "training.learning_rate=1e-9", "training.metric_for_best_model=accuracy")
    steps = ("training.early_stopping_patience=2", "training.eval_steps=2", "training.save_steps=2")
    result = train(small_recipe(*settings, *steps))
    assert max(line["step"] for line in result.folder.read_history()) == 6


def test_tokenising_tells_how_far_it_is(small_recipe: Any) -> None:
    progress: list[tuple[int, int]] = []
    train(
        small_recipe("training.max_steps=1", "training.both_orders=true"),
        on_tokenised=lambda done, total: progress.append((done, total)),
    )
    assert {total for _, total in progress} == {2 * 90 + 30}
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert progress[-1][0] == 2 * 90 + 30
