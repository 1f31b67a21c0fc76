"""An exported folder, read by nothing but transformers and PEFT, gives the judge's own numbers."""

from __future__ import annotations

import errno
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, pipeline
from typer.testing import CliRunner

from tests.integration.conftest import small_overrides, small_votes
from tiebreak import Comparison, Conversation, DataError, ModelError, RunError, load_judge, load_recipe, train
from tiebreak.cli import app
from tiebreak.data.writer import write_comparisons
from tiebreak.export import ExportReport, export_run
from tiebreak.ranking import outcome_logits
from tiebreak.runs import RunFolder, read_validation_rows
from tiebreak.text import AddedTokens, set_added_tokens
from tiebreak.training import TrainingResult

ROWS = [
    *small_votes(9, first=200),
    Comparison(("question 1 ?", "2 ?"), ("good", "bad answer"), ("good", "plain answer 3")),  # with a history
    Comparison(("question " * 12,), ("good answer " * 6,), ("b",)),  # longer than the sliding window
]


class Exported:
    """A run in float32 and its export, and what the run's own judge says of `ROWS`."""

    def __init__(self, run: TrainingResult, folder: Path) -> None:
        self.run, self.folder = run.folder, folder
        self.report: ExportReport = export_run(self.run.path, folder, dtype="float32")
        judge = load_judge(self.run.path)
        self.pointwise = judge.gives_rewards
        self.verdicts = np.array([(v.model_a, v.model_b, v.tie) for v in judge.compare_many(ROWS)])
        self.sides = [side for row in ROWS for side in row.conversations]
        self.rewards = [s.reward for s in judge.score_many(self.sides)] if self.pointwise else []

    @property
    def asked(self) -> list[Any]:
        return self.sides if self.pointwise else ROWS

    @property
    def wanted(self) -> np.ndarray:
        """What the folder's classifier should say of each chat."""
        return np.array(self.rewards)[:, None] if self.pointwise else self.verdicts


@pytest.fixture(scope="module", params=["pairwise", "pointwise"])
def exported(
    request: pytest.FixtureRequest, tiny_base: Path, votes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    settings = (f"model.head={request.param}", "model.precision=fp32", "training.max_steps=8")
    run = train(load_recipe("demo", small_overrides(tiny_base, votes, folder / "run", *settings)))
    return Exported(run, folder / "judge")


def chat_of(row: Any) -> list[dict[str, str]]:
    answers = row.answer if isinstance(row, Conversation) else row.answer_a
    chat = []
    for prompt, answer in zip(row.prompt[:-1], answers[:-1], strict=True):
        chat += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    chat.append({"role": "user", "content": row.prompt[-1]})
    if isinstance(row, Conversation):
        return [*chat, {"role": "assistant", "content": row.answer[-1]}]
    last = (("response_a", row.answer_a[-1]), ("response_b", row.answer_b[-1]))
    return [*chat, *({"role": role, "content": content} for role, content in last)]


def padded_numbers(model: Any, tokenizer: Any, exported: Exported) -> np.ndarray:
    """What a classifier says in one padded batch: rewards [texts, 1], or probabilities [rows, 3]."""
    chats = [chat_of(row) for row in exported.asked]
    batch = tokenizer.apply_chat_template(chats, return_dict=True, return_tensors="pt", padding=True)
    assert (batch["attention_mask"].sum(1) < batch["input_ids"].shape[1]).any()
    with torch.no_grad():
        logits = model(**batch).logits.double().numpy()
    return logits if exported.pointwise else softmax(logits, axis=-1)


def test_the_classifier_of_transformers_gives_the_judges_numbers(exported: Exported) -> None:
    model: PreTrainedModel
    model, info = AutoModelForSequenceClassification.from_pretrained(exported.folder, output_loading_info=True)
    assert type(model).__name__ == "Gemma2ForSequenceClassification"
    assert not any(info.values()), info
    tokenizer = AutoTokenizer.from_pretrained(exported.folder)
    np.testing.assert_allclose(padded_numbers(model, tokenizer, exported), exported.wanted, atol=1e-5)
    if exported.pointwise:
        scale = json.loads((exported.folder / "tiebreak.json").read_text())["rewards"]
        pairs = padded_numbers(model, tokenizer, exported).reshape(-1, 2)
        logits = outcome_logits(pairs[:, 0], pairs[:, 1], scale["tie_model"], scale["tie_parameter"])
        np.testing.assert_allclose(softmax(logits, axis=-1), exported.verdicts, atol=1e-5)


CHATML = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ' : ' + message['content'] + ' <unk> ' }}"
    "{% endfor %}"
)


@pytest.mark.parametrize("head", ["pairwise", "pointwise"])
@pytest.mark.parametrize("template", ["", "text.template=chat"])
def test_tokens_behind_texts_and_chat_templates_are_those_of_training(
    head: str, template: str, tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    """An export gives the run's numbers if the tokenizer puts a token behind texts, or its chat template is read."""
    base = shutil.copytree(tiny_base, tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    set_added_tokens(tokenizer, AddedTokens((1, 1), (1,)))
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(base)
    settings = (f"model.head={head}", "model.precision=fp32", "training.max_steps=2", *([template] if template else []))
    run = train(load_recipe("demo", small_overrides(base, votes, tmp_path / "run", *settings)))
    exported = Exported(run, tmp_path / "judge")
    assert exported.report.has_chat_template
    assert exported.report.drift is not None
    assert exported.report.drift.probability_largest < 1e-5
    model = AutoModelForSequenceClassification.from_pretrained(exported.folder)
    tokenizer = AutoTokenizer.from_pretrained(exported.folder)
    np.testing.assert_allclose(padded_numbers(model, tokenizer, exported), exported.wanted, atol=1e-5)
    card = json.loads((exported.folder / "tiebreak.json").read_text())
    assert card["added_tokens"] == {"prefix": [1, 1], "suffix": [1]}
    if not template:
        assert tokenizer("good")["input_ids"] == [1, 1, tokenizer.convert_tokens_to_ids("good"), 1]


def test_its_configuration_says_what_the_labels_are_and_nothing_of_tiebreak(exported: Exported) -> None:
    config = json.loads((exported.folder / "config.json").read_text())
    labels = {"0": "reward"} if exported.pointwise else {"0": "model_a", "1": "model_b", "2": "tie"}
    assert config["id2label"] == labels
    assert config["label2id"] == {label: int(index) for index, label in labels.items()}
    assert config["problem_type"] == ("regression" if exported.pointwise else "single_label_classification")
    assert config["architectures"] == ["Gemma2ForSequenceClassification"]
    assert config["pad_token_id"] == 0
    assert config["dtype"] == "float32"
    text = json.dumps(config)
    assert "quantization" not in text
    assert '"tiebreak' not in text
    assert set(load_file(exported.folder / "model.safetensors")) >= {"score.weight", "model.norm.weight"}


def test_the_pipeline_of_transformers_gives_the_judges_numbers(exported: Exported) -> None:
    tokenizer = AutoTokenizer.from_pretrained(exported.folder)
    judge = pipeline("text-classification", model=str(exported.folder), tokenizer=tokenizer, dtype="float32")
    texts = [tokenizer.apply_chat_template(chat_of(row), tokenize=False) for row in exported.asked]
    outputs = judge(texts, add_special_tokens=False, top_k=None, batch_size=4)
    order = ["reward"] if exported.pointwise else ["model_a", "model_b", "tie"]
    numbers = [[{one["label"]: one["score"] for one in each}[label] for label in order] for each in outputs]
    np.testing.assert_allclose(numbers, exported.wanted, atol=1e-4)


def run_snippets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.chdir(folder)
    found = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    spaces: list[dict[str, Any]] = []
    for code in found:
        spaces.append({})
        exec(code, spaces[-1])
    return spaces


def assert_snippets_say(spaces: list[dict[str, Any]], exported: Exported) -> None:
    judge = load_judge(exported.run.path)
    if exported.pointwise:
        [space] = spaces
        wanted = [judge.score("What is 2 + 2?", answer).reward for answer in ("It is 4.", "It is 5.")]
        np.testing.assert_allclose(space["rewards"], wanted, atol=1e-4)
        return
    assert len(spaces) == 2
    verdict = judge.compare("What is 2 + 2?", "It is 4.", "It is 5.")
    for space in spaces:
        shown = space["probabilities"]
        numbers = [shown[label] for label in ("model_a", "model_b", "tie")] if isinstance(shown, dict) else shown
        np.testing.assert_allclose(numbers, [verdict.model_a, verdict.model_b, verdict.tie], atol=1e-4)


def test_the_model_cards_code_runs_as_it_stands(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_snippets_say(run_snippets(exported.folder, monkeypatch), exported)


def test_the_model_card_says_how_good_it_is_and_what_it_does_not_do(exported: Exported) -> None:
    card = (exported.folder / "README.md").read_text()
    metrics = json.loads(exported.run.metrics.read_text())
    assert f"| all | {metrics['loss']:.4f} | {metrics['accuracy']:.3f} |" in card
    assert "votes: `train.csv`" in card
    assert str(exported.run.path) not in card
    assert str(exported.report.drift) in card
    front = card.split("---")[1]
    assert "pipeline_tag: text-classification" in front
    assert "license: gemma" in front
    assert "up to 64 tokens" in card
    assert ("Davidson" in card) == exported.pointwise


def test_a_run_in_float32_is_exported_without_drift(exported: Exported, votes: tuple[Path, Path]) -> None:
    drift = exported.report.drift
    assert drift is not None
    assert drift.rows == 30
    assert drift.probability_largest < 1e-5
    assert drift.answers_changed == 0
    metrics = json.loads(exported.run.metrics.read_text())
    assert drift.loss_before == pytest.approx(metrics["loss"], abs=1e-5)
    assert drift.loss_after == pytest.approx(metrics["loss"], abs=1e-5)
    assert (drift.reward_largest is not None and drift.reward_largest < 1e-4) == exported.pointwise
    written = json.loads((exported.folder / "export.json").read_text())
    assert written == {key: value for key, value in asdict(exported.report).items() if key != "folder"}


def test_an_adapter_alone_is_peft_s_own(
    exported: Exported, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "adapter"
    report = export_run(exported.run.path, folder, adapter_only=True)
    assert report.drift is not None
    assert report.drift.probability_largest < 1e-5
    assert not any("tie" in name for name in load_file(folder / "adapter_model.safetensors"))
    base = AutoModelForSequenceClassification.from_pretrained(tiny_base, num_labels=report.labels)
    base.config.pad_token_id = 0
    model = PeftModel.from_pretrained(base, str(folder)).eval()
    numbers = padded_numbers(model, AutoTokenizer.from_pretrained(folder), exported)
    np.testing.assert_allclose(numbers, exported.wanted, atol=1e-5)
    assert_snippets_say(run_snippets(folder, monkeypatch), exported)


def test_without_a_chat_template_the_card_fills_the_slots(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiebreak.export import write

    def none(tokenizer: Any, *_: Any) -> bool:
        tokenizer.chat_template = None
        return False

    monkeypatch.setattr(write, "install_chat_template", none)
    log: list[str] = []
    export_run(exported.run.path, tmp_path / "plain", dtype="float32", skip_drift=True, log=log.append)
    assert any("so the export has none" in line for line in log)
    assert not (tmp_path / "plain" / "chat_template.jinja").exists()
    [space] = run_snippets(tmp_path / "plain", monkeypatch)
    judge = load_judge(exported.run.path)
    if exported.pointwise:
        assert space["reward"] == pytest.approx(judge.score("What is 2 + 2?", "It is 4.").reward, abs=1e-4)
    else:
        verdict = judge.compare("What is 2 + 2?", "It is 4.", "It is 5.")
        assert space["probabilities"] == pytest.approx([verdict.model_a, verdict.model_b, verdict.tie], abs=1e-4)


def test_merging_a_4_bit_run_drifts_and_says_so(small_rewards: TrainingResult, tmp_path: Path) -> None:
    report = export_run(small_rewards.folder.path, tmp_path / "out")
    drift = report.drift
    assert report.dtype == "float32"  # as the base is stored
    assert drift is not None
    assert 1e-5 < drift.probability_mean < drift.probability_largest < 0.2
    assert drift.reward_largest is not None
    assert drift.reward_largest > 1e-4
    assert drift.loss_before == pytest.approx(small_rewards.metrics["loss"], abs=1e-5)
    assert drift.loss_after != pytest.approx(drift.loss_before, abs=1e-7)
    assert "the run trained it with a base in nf4" in (tmp_path / "out" / "README.md").read_text()


def test_weights_are_merged_in_float32_and_rounded_once(
    small_run: TrainingResult, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bfloat16 weights, in several files; the head as it was trained."""
    from tiebreak.export import write

    monkeypatch.setattr(write, "SHARD", "30KB")
    report = export_run(small_run.folder.path, tmp_path / "out", dtype="bfloat16", skip_drift=True)
    files = sorted((tmp_path / "out").glob("model-*.safetensors"))
    assert len(files) > 1
    assert report.bytes == sum(file.stat().st_size for file in files)
    merged = {name: weight for file in files for name, weight in load_file(file).items()}
    base = load_file(tiny_base / "model.safetensors")
    adapter = load_file(small_run.folder.model / "adapter_model.safetensors")
    for layer in ("self_attn.q_proj", "mlp.down_proj"):
        name = f"model.layers.1.{layer}"
        a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
        assert b.abs().max() > 0
        wanted = (base[f"{name}.weight"].float() + b @ a).bfloat16()  # alpha is r: scaled by 1
        torch.testing.assert_close(merged[f"{name}.weight"], wanted, atol=0, rtol=0)
    assert torch.equal(merged["model.norm.weight"], base["model.norm.weight"].bfloat16())
    assert torch.equal(merged["score.weight"], adapter["base_model.model.score.weight"])
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", output_loading_info=True)[1]
    assert not any(loaded.values())


@pytest.fixture
def moved_run(small_run: TrainingResult, tmp_path: Path) -> RunFolder:
    """A copy that may be written to, whose votes are gone."""
    run = tmp_path / "moved"
    shutil.copytree(small_run.folder.path, run, ignore=shutil.ignore_patterns("checkpoints", ".lock"))
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(re.sub(r"(train|validation): /.*", r"\1: /nowhere/\1.csv", recipe))
    return RunFolder(run)


def test_drift_is_measured_on_the_kept_validation_rows(moved_run: RunFolder, tmp_path: Path) -> None:
    kept = read_validation_rows(moved_run)
    assert kept is not None
    drift = export_run(moved_run.path, tmp_path / "out").drift
    assert drift is not None
    assert (drift.on, drift.rows) == ("of the run's validation rows", len(kept.comparisons))
    assert drift.loss_before == pytest.approx(json.loads(moved_run.metrics.read_text())["loss"], abs=1e-5)


def test_drift_of_a_run_of_0_1_replays_the_split(small_run: TrainingResult, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run.folder.path, run, ignore=shutil.ignore_patterns("checkpoints", ".lock"))
    kept = export_run(run, tmp_path / "kept").drift
    RunFolder(run).validation_rows.unlink()  # runs of Tiebreak 0.1 keep none
    log: list[str] = []
    assert kept is not None
    assert export_run(run, tmp_path / "replayed", log=log.append).drift == kept
    assert not any("are not available" in line for line in log)


def test_drift_of_a_run_without_kept_rows(moved_run: RunFolder, tmp_path: Path) -> None:
    moved_run.validation_rows.unlink()  # as in runs of Tiebreak 0.1
    log: list[str] = []
    drift = export_run(moved_run.path, tmp_path / "sums", log=log.append).drift
    assert any("are not available" in line and "--on VOTES" in line for line in log)
    assert drift is not None
    assert drift.on.startswith("built-in arithmetic comparisons")
    assert (drift.rows, drift.loss_before, drift.loss_after) == (60, None, None)

    write_comparisons(tmp_path / "many.csv", small_votes(450))
    drift = export_run(moved_run.path, tmp_path / "file", on=tmp_path / "many.csv", log=log.append).drift
    assert drift is not None
    assert (drift.on, drift.rows) == ("rows of many.csv", 200)
    assert drift.loss_before is not None
    with pytest.raises(DataError, match="does not exist"):
        export_run(moved_run.path, tmp_path / "none", on=tmp_path / "no.csv")


def test_what_cannot_be_exported_leaves_nothing(
    moved_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RunError, match="applies to merged weights"):
        export_run(moved_run.path, tmp_path / "out", dtype="float16", adapter_only=True)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(PreTrainedModel, "save_pretrained", full)
        with pytest.raises(RunError, match="The disk is full"):
            export_run(moved_run.path, tmp_path / "out", skip_drift=True)

    path = moved_run.model / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if "lora_B" in name)
    weights[name] = weights[name] * 1e30
    save_file(weights, path)
    with pytest.raises(ModelError, match=r"not finite in float16.*--dtype bfloat16"):
        export_run(moved_run.path, tmp_path / "out", dtype="float16", skip_drift=True)
    weights[name][0, 0] = torch.nan
    save_file(weights, path)
    for adapter_only in (True, False):
        with pytest.raises(ModelError, match=r"1 of the adapter's weights .* not finite.*learning_rate"):
            export_run(moved_run.path, tmp_path / "out", adapter_only=adapter_only)
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_says_what_it_wrote_and_refuses_what_is_there(small_run: TrainingResult, tmp_path: Path) -> None:
    run, out = str(small_run.folder), tmp_path / "out"
    out.mkdir()
    result = CliRunner().invoke(app, ["export", run, str(out), "--dtype", "bfloat16"])
    assert result.exit_code == 0, result.output
    assert f"{out}: Gemma2ForSequenceClassification, three labels, bfloat16" in result.stdout
    assert "30 of the run's validation rows" in result.stdout
    assert "Log loss: " in result.stdout
    again = CliRunner().invoke(app, ["export", run, str(out)])
    assert "is not empty. Give a folder that does not exist" in str(again.exception)
    a_file = CliRunner().invoke(app, ["export", run, str(out / "README.md")])
    assert "is a file. Give a folder" in str(a_file.exception)
    no_run = CliRunner().invoke(app, ["export", str(out), str(tmp_path / "other")])
    assert isinstance(no_run.exception, RunError)
    as_json = CliRunner().invoke(app, ["export", run, str(tmp_path / "b"), "--skip-drift", "--adapter-only", "--json"])
    assert json.loads(as_json.stdout)["drift"] is None
    assert json.loads(as_json.stdout)["architecture"] == "adapter"
