"""A published reward model is a judge, in every command that takes a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
)
from typer.testing import CliRunner

from tiebreak import load_judge
from tiebreak.cli import app
from tiebreak.data import arithmetic_comparisons, write_comparisons
from tiebreak.errors import ModelError, RunError
from tiebreak.models import exported_card, judge_head, load_config, load_tokenizer, published_judge
from tiebreak.models.card_encoder import card_encoder
from tiebreak.ranking import fit_tie_parameter, outcome_logits
from tiebreak.recipe import load_recipe
from tiebreak.text import AddedTokens, Encoder, resolve_template, set_added_tokens
from tiebreak.training.model_setup import prepare_model
from tiebreak.training.tokenised_votes import base_tokenizer
from tiebreak.types import Conversation

CHATML = (
    "{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\\n' + message['content'] + "
    "'<end_of_turn>\\n' }}{% endfor %}"
)
PAIRWISE = {"model_a": 0, "model_b": 1, "tie": 2}
PLAIN = {"A": "It is 4.", "B": "It is five, I think."}


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with one label and a chat template."""
    folder = tmp_path_factory.mktemp("published") / "reward-model"
    tokenizer = load_tokenizer("nano")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    tokenizer.chat_template = "{{ bos_token }}" + CHATML
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_labels=1, pad_token_id=tokenizer.pad_token_id, max_position_embeddings=512,
    )  # fmt: skip
    model = LlamaForSequenceClassification(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def variant(reward_model: Path, folder: Path, **config: object) -> Path:
    """The same model with other keys in its config.json; None leaves a key out."""
    folder.mkdir()
    for path in reward_model.iterdir():
        (folder / path.name).symlink_to(path)
    changed = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({k: v for k, v in changed.items() if v is not None}))
    return folder


def with_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    weights = change(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def with_template(folder: Path, template: str, added: AddedTokens | None = None) -> Path:
    """The same model with another chat template, and other tokens that the tokenizer adds to texts."""
    tokenizer = load_tokenizer(str(folder))
    tokenizer.chat_template = template
    if added is not None:
        set_added_tokens(tokenizer, added)
    for path in folder.glob("*token*"):
        path.unlink()
    (folder / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def no_weights_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the weights of the body were read")

    monkeypatch.setattr(AutoModel, "from_pretrained", fail)


def card_inputs(tokenizer: Any, conversation: list[dict[str, str]]) -> Any:
    """The call that model cards of reward models show."""
    return tokenizer.apply_chat_template(conversation, tokenize=True, return_dict=True, return_tensors="pt")


def benchmark_inputs(tokenizer: Any, conversation: list[dict[str, str]]) -> Any:
    """As runners of reward benchmarks read: the rendered text is tokenised like any text, with one BOS."""
    text = tokenizer.apply_chat_template(conversation, tokenize=False).removeprefix(tokenizer.bos_token)
    return tokenizer(text, return_tensors="pt")


@torch.no_grad()
def plain_rewards(
    folder: Path, conversations: list[list[dict[str, str]]], make_inputs: Callable[[Any, list[dict[str, str]]], Any]
) -> list[float]:
    """The rewards of transformers' own class."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    return [model(**make_inputs(tokenizer, messages)).logits[0, 0].item() for messages in conversations]


def conversation(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_its_rewards_are_those_of_the_plain_call(reward_model: Path) -> None:
    judge = load_judge(reward_model, device="cpu")
    wanted = plain_rewards(
        reward_model,
        [
            conversation("2 + 2?", PLAIN["A"]),
            conversation("2 + 2?", PLAIN["B"]),
            conversation("Hi", "Yes?", "2 + 2?", "4"),
        ],
        card_inputs,
    )
    rewards = [
        judge.score("2 + 2?", PLAIN["A"]).reward,
        judge.score("2 + 2?", PLAIN["B"]).reward,
        judge.score(["Hi", "2 + 2?"], ["Yes?", "4"]).reward,
    ]
    assert rewards == pytest.approx(wanted, abs=1e-5)
    assert np.ptp(rewards) > 0.1
    chat = conversation("2 + 2?", PLAIN["A"])
    assert plain_rewards(reward_model, [chat], benchmark_inputs) == pytest.approx(wanted[:1], abs=1e-5)
    verdict = judge.compare("2 + 2?", PLAIN["A"], PLAIN["B"])
    assert verdict.probabilities[0] == pytest.approx(1 / (1 + np.exp(wanted[1] - wanted[0])), abs=1e-5)
    assert verdict.probabilities[2] == 0


def test_a_template_without_bos_gets_the_one_that_the_tokenizer_adds(reward_model: Path, tmp_path: Path) -> None:
    for path in reward_model.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "chat_template.jinja").write_text(CHATML)
    reward = load_judge(tmp_path, device="cpu").score("2 + 2?", "4").reward
    assert [reward] == pytest.approx(plain_rewards(tmp_path, [conversation("2 + 2?", "4")], benchmark_inputs), abs=1e-5)


@pytest.mark.parametrize(
    ("template", "prefix", "suffix"),
    [
        ("{{ bos_token }}" + CHATML, (2,), (1,)),
        (CHATML, (2,), ()),
        (CHATML + "{{ eos_token }}\n", (2,), (1,)),  # tokenised like any text, which ends with two EOS
        (CHATML, (), (1,)),
    ],
)
def test_tokens_that_the_tokenizer_adds_are_read_in_judging_and_training(
    template: str, prefix: tuple[int, ...], suffix: tuple[int, ...], reward_model: Path, tmp_path: Path
) -> None:
    folder = with_template(variant(reward_model, tmp_path / "model"), template, AddedTokens(prefix, suffix))
    chat = conversation("2 + 2?", "4")
    reward = load_judge(folder, device="cpu").score("2 + 2?", "4").reward
    assert [reward] == pytest.approx(plain_rewards(folder, [chat], benchmark_inputs), abs=1e-5)

    wanted = benchmark_inputs(AutoTokenizer.from_pretrained(folder), chat)["input_ids"][0].tolist()
    row = Conversation(("2 + 2?",), ("4",))
    [judged] = card_encoder(*published_judge(str(folder), torch.device("cpu"))).encode([row])
    assert judged.ids.tolist() == wanted
    recipe = load_recipe("gemma2-9b-reward", [f"model.name={folder}", "text.template=chat"])
    tokenizer = base_tokenizer(recipe)
    encoder: Any = Encoder(tokenizer, resolve_template("chat", "pointwise", tokenizer), max_length=256)  # type: ignore[type-var]
    assert encoder.encode([row])[0].ids.tolist() == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights | {"score.bias": torch.ones(1)}, "has a bias (score.bias)"),
        (
            lambda weights: {k.replace("score", "reward_head"): v for k, v in weights.items()},
            "score.weight is missing",
        ),
        (lambda weights: weights | {"score.weight": torch.ones(2, 64)}, "of shape (2, 64) instead of (1, 64)"),
    ],
)
@pytest.mark.usefixtures("no_weights_are_read")
def test_another_head_is_refused_before_the_body_is_read(
    change: Callable[[Any], Any], message: str, reward_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as refused:
        load_judge(with_weights(variant(reward_model, tmp_path / "model"), change), device="cpu")
    assert message in str(refused.value)


@pytest.mark.usefixtures("no_weights_are_read")
def test_missing_files_and_tokens_are_refused_before_the_body_is_read(reward_model: Path, tmp_path: Path) -> None:
    empty = variant(reward_model, tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="empty has no weights"):
        load_judge(empty, device="cpu")
    sharded = variant(reward_model, tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    index = {"weight_map": {"score.weight": "model-00001-of-00001.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model-00001-of-00001\.safetensors, which model\.safetensors\.index"):
        load_judge(sharded, device="cpu")
    size = load_config(str(reward_model)).vocab_size
    with pytest.raises(ModelError, match=f"embedding has only {size - 1} rows"):
        load_judge(variant(reward_model, tmp_path / "small", vocab_size=size - 1), device="cpu")


def test_the_head_is_read_from_the_file_of_the_body(reward_model: Path, tmp_path: Path) -> None:
    folder = variant(reward_model, tmp_path / "model")
    shard = "model-00001-of-00001.safetensors"
    save_file({"score.weight": torch.zeros(1, 64)}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"score.weight": shard}}))
    reward = load_judge(folder, device="cpu").score("2 + 2?", "4").reward
    assert [reward] == pytest.approx(plain_rewards(folder, [conversation("2 + 2?", "4")], card_inputs), abs=1e-5)
    assert abs(reward) > 0.01


def test_id2label_alone_names_the_labels(reward_model: Path, tmp_path: Path) -> None:
    labels = {index: label for label, index in PAIRWISE.items()}
    folder = variant(reward_model, tmp_path / "model", id2label=labels, label2id=None)
    with_weights(folder, lambda weights: weights | {"score.weight": torch.eye(3, 64)})
    assert not load_judge(folder, device="cpu").gives_rewards


@pytest.mark.usefixtures("no_weights_are_read")
def test_commands_that_need_votes_or_a_folder_say_so_first(reward_model: Path, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, arithmetic_comparisons(120, seed=4, split="train"))
    broken = with_weights(variant(reward_model, tmp_path / "broken"), lambda weights: {"x": torch.ones(1)})
    refused = run("calibrate", broken, votes, "-o", tmp_path / "runs" / "new" / "run")
    assert "score.weight is missing" in str(refused.exception)
    assert not (tmp_path / "runs").exists()
    refused = run("evaluate", reward_model, votes, "--baselines")
    assert "Leave out --baselines" in str(refused.exception)
    refused = run("blend", reward_model, "owner/model", "--on", votes, "-o", tmp_path / "runs" / "blend")
    assert "owner/model is a model on the hub, and a blend refers to folders" in str(refused.exception)


@pytest.mark.parametrize(
    ("template", "padding"),
    [
        ("{{ bos_token }}" + CHATML + "{{ eos_token }}", 1),
        ("{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}", 400),  # an ordinary token
    ],
)
def test_texts_that_may_end_with_the_padding_token_are_refused(
    template: str, padding: int, reward_model: Path, tmp_path: Path
) -> None:
    folder = with_template(variant(reward_model, tmp_path / "model", pad_token_id=padding), template)
    with pytest.raises(ModelError, match="may end with its padding token"):
        load_judge(folder, device="cpu")
    chat = conversation("2 + 2?", "4")
    variant(folder, tmp_path / "other", pad_token_id=0)
    reward = load_judge(tmp_path / "other", device="cpu").score("2 + 2?", "4").reward
    assert [reward] == pytest.approx(plain_rewards(tmp_path / "other", [chat], card_inputs), abs=1e-5)


def test_a_template_that_must_end_with_an_answer_renders_a_system_message(reward_model: Path, tmp_path: Path) -> None:
    check = "{% if messages[-1].role != 'assistant' %}{{ raise_exception('an answer must be last') }}{% endif %}"
    folder = with_template(variant(reward_model, tmp_path / "model"), "{{ bos_token }}" + check + CHATML)
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
    reward = load_judge(folder, device="cpu").score(chat, "4").reward
    wanted = plain_rewards(folder, [[*chat, {"role": "assistant", "content": "4"}]], card_inputs)
    assert [reward] == pytest.approx(wanted, abs=1e-5)


def test_calibration_teaches_it_ties_and_leaves_its_folder_alone(reward_model: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in reward_model.iterdir())
    rows = arithmetic_comparisons(300, seed=1, split="train")
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, rows)
    refused = run("calibrate", reward_model, votes)
    assert "--output runs/NAME" in str(refused.exception)
    result = run("calibrate", reward_model, votes, "-o", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in reward_model.iterdir()) == before
    for command in (
        ["export", tmp_path / "run", tmp_path / "out"],
        ["soup", tmp_path / "run", reward_model, "-o", "x"],
    ):
        refused = run(*command)
        assert isinstance(refused.exception, RunError)
        assert "refers to the published judge" in str(refused.exception)
    calibrated, plain = load_judge(tmp_path / "run"), load_judge(reward_model)
    with pytest.raises(ModelError, match=f"is a run, not a model. Use model.name={reward_model}"):
        load_config(str(tmp_path / "run"))
    verdict = calibrated.compare("2 + 2?", PLAIN["A"], PLAIN["B"])
    assert verdict.probabilities[2] > 0.02
    assert calibrated.score("2 + 2?", PLAIN["A"]).reward == pytest.approx(plain.score("2 + 2?", PLAIN["A"]).reward)
    losses = [
        -np.mean(
            [
                np.log(max(v.probabilities[int(np.argmax(row.vote))], 1e-15))
                for v, row in zip(verdicts, rows, strict=True)
            ]
        )
        for verdicts in (calibrated.compare_many(rows), plain.compare_many(rows))
    ]
    assert losses[0] < np.log(3) + 0.01 < losses[1]


@pytest.mark.parametrize("command", ["evaluate", "predict", "score", "judge"])
def test_commands_take_it_as_a_run(command: str, reward_model: Path, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, arithmetic_comparisons(12, seed=2, split="validation"))
    single = tmp_path / "answers.jsonl"
    single.write_text(json.dumps({"prompt": "2 + 2?", "response": "4"}) + "\n")
    arguments = {
        "evaluate": [votes, "--json"],
        "predict": [votes, "-o", tmp_path / "out.csv"],
        "score": [single, "-o", tmp_path / "out.jsonl"],
        "judge": ["--prompt", "2 + 2?", "--a", "4", "--b", "5", "--json"],
    }[command]
    result = run(command, reward_model, *arguments)
    assert result.exit_code == 0, result.output


def test_training_goes_on_from_it_with_its_head(reward_model: Path, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, arithmetic_comparisons(40, seed=3, split="train"))
    result = run(
        "train", "gemma2-9b-reward", f"model.name={reward_model}", "model.precision=fp32", "text.template=chat",
        "text.max_length=256", f"data.train={votes}", "data.validation_rows=8",
        "data.calibration_share=null", "training.max_steps=1",
        "training.learning_rate=1e-12", f"output={tmp_path / 'run'}",
        "--no-baselines",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    trained, plain = load_judge(tmp_path / "run"), load_judge(reward_model)
    assert trained.score("2 + 2?", "4").reward == pytest.approx(plain.score("2 + 2?", "4").reward, abs=1e-4)

    exported = tmp_path / "export"
    result = run("export", tmp_path / "run", exported, "--skip-drift")
    assert result.exit_code == 0, result.output
    again = load_judge(exported)
    assert again.score("2 + 2?", "4").normalised == pytest.approx(trained.score("2 + 2?", "4").normalised, abs=1e-4)
    wanted = trained.compare("2 + 2?", "4", "5").probabilities
    assert again.compare("2 + 2?", "4", "5").probabilities == pytest.approx(wanted, abs=1e-4)
    recipe = load_recipe("gemma2-9b-reward", [f"model.name={exported}", "model.precision=fp32"])
    model = prepare_model(recipe, [], torch.float32, print)
    card = exported_card(str(exported))
    assert card is not None
    assert card.rewards is not None
    assert float(judge_head(model).tie_parameter.detach()) == pytest.approx(card.rewards.tie_parameter, abs=1e-6)


def test_what_is_no_judge_is_refused_by_name(reward_model: Path, tmp_path: Path) -> None:
    def copy(**changes: object) -> Path:
        return variant(reward_model, tmp_path / str(len(list(tmp_path.iterdir()))), **changes)

    for changes, message in [
        ({"architectures": ["LlamaForRewardModelWithGating"]}, "names LlamaForRewardModelWithGating"),
        ({"architectures": ["LlamaForCausalLM"]}, "Train a judge on it"),
        (
            {"id2label": {"0": "entailment", "1": "no"}, "label2id": {"entailment": 0, "no": 1}},
            "2 labels (entailment, no)",
        ),
        (
            {"id2label": {"0": "tie", "1": "model_a", "2": "model_b"}, "label2id": PAIRWISE},
            "3 labels (tie, model_a, model_b)",
        ),
        (
            {"id2label": {i: label for label, i in PAIRWISE.items()}, "label2id": PAIRWISE | {"model_a": 2, "tie": 0}},
            "label2id has another order",
        ),
        ({"architectures": ["GatedForSequenceClassification"]}, "is read by GatedForSequenceClassification, Python"),
        (
            {"auto_map": {"AutoModelForSequenceClassification": "gated.LlamaForSequenceClassification"}},
            "Python code that comes with the checkpoint",
        ),
    ]:
        with pytest.raises(ModelError) as refused:
            load_judge(copy(**changes))
        assert message in str(refused.value)
    without = copy()
    (without / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="has no chat template that can be used"):
        load_judge(without)
    picky = with_template(copy(), "{% for m in messages %}{{ m.content or raise_exception('empty') }}{% endfor %}")
    with pytest.raises(ModelError, match="has no chat template that can be used"):
        load_judge(picky)
    (tmp_path / "runs").mkdir()
    with pytest.raises(RunError, match="There is no run folder"):
        load_judge(tmp_path / "runs" / "typo")


def test_the_tie_parameter_is_found_again() -> None:
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(4000, 2)) * 2
    logits = outcome_logits(rewards[:, 0] / 2, rewards[:, 1] / 2, "davidson", 0.7)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    votes = np.eye(3)[[rng.choice(3, p=p) for p in probabilities]]
    # The votes were made with half of the rewards, so the parameter is twice as large in their units.
    assert fit_tie_parameter(rewards, votes) == pytest.approx(1.4, abs=0.25)
