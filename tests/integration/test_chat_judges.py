"""Judges that read conversations in their base model's chat template, from votes to every way of asking them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from starlette.testclient import TestClient
from tokenizers import AddedToken
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Gemma2ForCausalLM, TrainerCallback
from typer.testing import CliRunner

from tests.integration.conftest import small_overrides
from tiebreak import Comparison, Conversation, ModelError, load_judge, load_recipe, reward_function, train
from tiebreak.cli import app
from tiebreak.export import export_run
from tiebreak.rewards.policy import policy_parser
from tiebreak.serving import create_app
from tiebreak.training import TrainingResult

# Like Llama 3's, it writes the date into a system message that is always there; Qwen's tokens are shorter.
TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
    "{{ '<|im_start|>system\nToday ' + strftime_now('%d') + '\n\n' + system + '<|im_end|>\n' }}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM = "plain answer 1"
MESSAGES = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "question 1"},
    {"role": "assistant", "content": "good"},
    {"role": "user", "content": "question 2"},
]
ANSWERS = ["good answer", "bad answer 7"]
SIDES = [Conversation((f"{SYSTEM}\n\nquestion 1", "question 2"), ("good", answer), SYSTEM) for answer in ANSWERS]
ROW = Comparison(SIDES[0].prompt, SIDES[0].answer, SIDES[1].answer, system=SYSTEM)
WITHOUT = Comparison(SIDES[0].prompt, SIDES[0].answer, SIDES[1].answer)
"""The same texts, with the system message as the user's words."""


@contextmanager
def on_day(number: int) -> Iterator[None]:
    """Training and judging on this day of November 2026."""

    class Today(date):
        @classmethod
        def today(cls) -> Today:
            return cls(2026, 11, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiebreak.training.finetune.date", Today)
        patch.setattr("tiebreak.text.chat_format.date", Today)
        yield


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base with a chat template, and tokens for its roles, markers and dates."""
    folder = tmp_path_factory.mktemp("base") / "chat"
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.add_tokens([AddedToken(marker, special=True) for marker in ("<|im_start|>", "<|im_end|>")])
    tokenizer.add_tokens(["user", "assistant", "system", "Today", "28", "29", "30"])
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(1)
    model = Gemma2ForCausalLM.from_pretrained(tiny_base)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for weight in model.parameters():  # larger than at the start of a training, so that every word matters
            if weight.ndim > 1:
                weight.mul_(5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of chosen and rejected conversations, half of them with a system message."""
    folder = tmp_path_factory.mktemp("chats")
    for name, first, last in (("train", 0, 48), ("validation", 48, 60)):
        lines = []
        for i in range(first, last):
            lead = [*MESSAGES[: i % 2], {"role": "user", "content": f"question {i % 10} {i // 10} ?"}]
            sides = {
                side: [*lead, {"role": "assistant", "content": f"{word} answer"}]
                for side, word in (("chosen", "good"), ("rejected", "bad"))
            }
            lines.append(json.dumps(sides))
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder / "train.jsonl", folder / "validation.jsonl"


def recipe(base: Path, chats: tuple[Path, Path], output: Path, head: str) -> Any:
    settings = (
        "text.template=chat", f"model.head={head}", "model.precision=fp32", "training.max_steps=6",
        "training.save_steps=2", "training.eval_steps=2",
    )  # fmt: skip
    return load_recipe("demo", small_overrides(base, chats, output, *settings))


@pytest.fixture(scope="module", params=["pointwise", "pairwise"])
def run(
    request: pytest.FixtureRequest, base: Path, chats: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> TrainingResult:
    """A run of the 28th."""
    with on_day(28):
        return train(recipe(base, chats, tmp_path_factory.mktemp("chat") / request.param, request.param))


@pytest.mark.parametrize("run", ["pointwise"], indirect=True)
def test_a_run_that_is_resumed_on_other_days_keeps_its_date(
    base: Path, chats: tuple[Path, Path], run: TrainingResult, tmp_path: Path
) -> None:
    class Stop(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            raise KeyboardInterrupt

    settings = recipe(base, chats, tmp_path / "run", run.folder.path.name)
    for day, resume in ((28, False), (29, True)):
        with on_day(day), pytest.raises(KeyboardInterrupt):
            train(settings, callbacks=[Stop()], resume=resume)
    with on_day(30):
        resumed = train(settings, resume=True)
        assert resumed.metrics == run.metrics
        verdicts = [load_judge(one.folder.path).compare_many([ROW]) for one in (run, resumed)]
    assert verdicts[0] == verdicts[1]


def chat(conversation: Conversation) -> list[dict[str, str]]:
    return [*MESSAGES, {"role": "assistant", "content": conversation.answer[-1]}]


def pair(row: Comparison) -> list[dict[str, str]]:
    closing = (("response_a", row.answer_a[-1]), ("response_b", row.answer_b[-1]))
    return [*MESSAGES, *({"role": role, "content": content} for role, content in closing)]


def close(numbers: Any) -> Any:
    return pytest.approx(numbers, abs=3e-6)


def test_every_way_of_asking_gives_the_numbers_of_the_export(run: TrainingResult, tmp_path: Path) -> None:
    """The export is read by transformers alone: its tokens are those of `apply_chat_template`, on any day."""
    pointwise = run.folder.path.name == "pointwise"
    report = export_run(run.folder.path, tmp_path / "export", dtype="float32")
    assert report.has_chat_template
    assert report.drift is not None
    assert report.drift.probability_largest < 1e-5
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export")
    conversations = [chat(side) for side in SIDES] if pointwise else [pair(ROW), pair(ROW.swap())]
    ids = [tokenizer.apply_chat_template(one, return_dict=False) for one in conversations]
    texts = [tokenizer.apply_chat_template(one, tokenize=False) for one in conversations]
    assert f"<|im_start|>system\nToday 28\n\n{SYSTEM}<|im_end|>\n" in texts[0]
    with torch.no_grad():
        outputs = [model(torch.tensor([row])).logits[0].double().numpy() for row in ids]

    judge = load_judge(run.folder.path)
    with on_day(30):
        exported = load_judge(tmp_path / "export")
        assert exported.rank(MESSAGES, ANSWERS).rewards == close(judge.rank(MESSAGES, ANSWERS).rewards)
    with on_day(30), TestClient(create_app(judge, name="judge", grace=1)) as client:
        ask(client, judge, conversations, ids, texts, outputs)
        assert scored_by_command(run, tmp_path) == close(judge.rank(MESSAGES, ANSWERS).rewards)
        if pointwise:
            ask_for_rewards(client, judge, run, texts, [float(one[0]) for one in outputs])
        else:
            ask_for_probabilities(client, judge, run, tmp_path, softmax(outputs, axis=-1))


def scored_by_command(run: TrainingResult, folder: Path) -> tuple[float, ...]:
    file, output = folder / "candidates.jsonl", folder / "scores.jsonl"
    file.write_text(json.dumps({"prompt": MESSAGES, "responses": ANSWERS}))
    result = CliRunner().invoke(app, ["score", str(run.folder.path), str(file), "-o", str(output)])
    assert result.exit_code == 0, result.output
    return tuple(json.loads(output.read_text())["rewards"])


def post(client: TestClient, path: str, **body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def ask(client: TestClient, judge: Any, conversations: Any, ids: Any, texts: Any, outputs: Any) -> None:
    """Ids, texts and messages through the APIs that return the head's outputs."""
    expected = [one.tolist() for one in outputs]
    for body in ({"input": ids}, {"input": texts}):
        found = post(client, "/classify", **body, use_activation=False)
        assert [row["probs"] for row in found["data"]] == [close(row) for row in expected]
    for messages, row in zip(conversations, expected, strict=True):
        [found] = post(client, "/v1/classify", messages=messages, use_activation=False)["data"]
        assert found["probs"] == close(row)
    assert [row["embedding"] for row in post(client, "/classify", text=texts)] == [close(row) for row in expected]
    assert [list(head.outputs) for head in judge.read_many(ids)] == [close(row) for row in expected]
    if judge.gives_rewards:  # a chat without the line break at its end is one in a template that is known
        assert post(client, "/classify", input=texts[0][:-1])["data"][0]["probs"] == close(expected[0])
    unreadable = [texts[0].replace("<|im_end|>", "", 1), "question", ""]
    unreadable += [] if judge.gives_rewards else [texts[0][:-1], texts[0].replace("Response_b", "Response_c")]
    for text in unreadable:
        response = client.post("/classify", json={"input": text})
        assert response.status_code == 422, text
        assert "template of the judge's export" in response.text or "is a pairwise judge" in response.text


def ask_for_rewards(client: TestClient, judge: Any, run: TrainingResult, texts: Any, expected: list[float]) -> None:
    """The ways of a reward model."""
    assert [score.reward for score in judge.score_many(SIDES)] == close(expected)
    assert [judge.score(MESSAGES, answer).reward for answer in ANSWERS] == close(expected)
    assert judge.rank(MESSAGES, ANSWERS).rewards == close(expected)
    assert judge.compare(MESSAGES, *ANSWERS).rewards == close(expected)
    assert judge.compare_many([WITHOUT])[0].rewards != pytest.approx(expected, abs=1e-5)
    reward = reward_function(judge, normalise=False)
    assert reward([MESSAGES] * 2, [[{"role": "assistant", "content": answer}] for answer in ANSWERS]) == close(expected)
    found = [post(client, "/v1/score", prompt=MESSAGES, answer=answer)["reward"] for answer in ANSWERS]
    assert found == close(expected)
    turns = {"prompt": ["question 1", "question 2"], "system": SYSTEM}
    found = [post(client, "/v1/score", **turns, answer=["good", answer])["reward"] for answer in ANSWERS]
    assert found == close(expected)
    ranked = post(client, "/v1/rank", prompt=MESSAGES, answers=ANSWERS)["ranking"]
    assert sorted((one["index"], one["reward"]) for one in ranked) == [(i, close(r)) for i, r in enumerate(expected)]
    assert post(client, "/v1/score/evaluation", messages=texts)["scores"] == close(expected)
    assert post(client, "/predict", inputs=texts[:1], raw_scores=True)[0]["score"] == close(expected[0])
    normalised = [score.normalised for score in judge.score_many(SIDES)]
    with TestClient(create_app(judge, name="judge", policy=policy_parser(str(run.folder.model)), grace=1)) as policy:
        prompt = texts[0][: texts[0].index(ANSWERS[0])]
        queries = [f"{prompt}{answer}<|im_end|>" for answer in ANSWERS]
        assert post(policy, "/get_reward", query=queries, prompts=[prompt] * 2)["rewards"] == close(normalised)


def ask_for_probabilities(
    client: TestClient, judge: Any, run: TrainingResult, folder: Path, expected: np.ndarray
) -> None:
    """The ways of a pairwise judge. `expected` are those of both orders, A as it stands in each."""
    as_given, mean = expected[0].tolist(), (expected[0] + expected[1][[1, 0, 2]]) / 2
    assert judge.compare(MESSAGES, *ANSWERS).probabilities == close(tuple(as_given))
    assert judge.compare_many([ROW])[0].probabilities == close(tuple(as_given))
    assert judge.compare_many([WITHOUT])[0].probabilities != pytest.approx(tuple(as_given), abs=1e-5)
    assert judge.compare(MESSAGES, *ANSWERS, swap="average").probabilities == close(tuple(mean))
    found = post(client, "/v1/compare", prompt=MESSAGES, answers=ANSWERS, swap="none")
    assert list(found["probabilities"].values()) == close(as_given)
    body = {"prompt": ["question 1", "question 2"], "answers": [["good", answer] for answer in ANSWERS]}
    found = post(client, "/v1/compare", **body, system=SYSTEM, swap="none")
    assert list(found["probabilities"].values()) == close(as_given)
    rewards = judge.rank(MESSAGES, ANSWERS).rewards
    assert rewards == close(judge.rank_many([(ROW.prompt, [ROW.answer_a, ROW.answer_b])], systems=[SYSTEM])[0].rewards)
    assert rewards != pytest.approx(judge.rank_many([(ROW.prompt, [ROW.answer_a, ROW.answer_b])])[0].rewards, abs=1e-5)
    reward = reward_function(judge)
    assert reward([MESSAGES] * 2, [[{"role": "assistant", "content": answer}] for answer in ANSWERS]) == close(rewards)
    ranked = post(client, "/v1/rank", prompt=MESSAGES, answers=ANSWERS)["ranking"]
    assert sorted((one["index"], one["reward"]) for one in ranked) == [(i, close(r)) for i, r in enumerate(rewards)]

    file, output = folder / "row.jsonl", folder / "predictions.jsonl"
    file.write_text(json.dumps({side: chat(one) for side, one in zip(("chosen", "rejected"), SIDES, strict=True)}))
    judged = CliRunner().invoke(app, ["judge", str(run.folder.path), "--file", str(file), "--json"])
    assert judged.exit_code == 0, judged.output
    assert [json.loads(judged.stdout)[name] for name in ("model_a", "model_b", "tie")] == close(as_given)
    predicted = CliRunner().invoke(
        app, ["predict", str(run.folder.path), str(file), "-o", str(output), "--swap", "average"]
    )
    assert predicted.exit_code == 0, predicted.output
    row = json.loads(output.read_text())
    assert [row[f"winner_{name}"] for name in ("model_a", "model_b", "tie")] == close(mean.tolist())


@pytest.mark.parametrize("run", ["pointwise"], indirect=True)
def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(
    base: Path, chats: tuple[Path, Path], run: TrainingResult, tmp_path: Path
) -> None:
    for source, name in ((base, "base"), (run.folder.path, "run")):
        shutil.copytree(source, tmp_path / name)
    for folder in (tmp_path / "base", tmp_path / "run" / "model"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(["<|extra|>"])
        tokenizer.save_pretrained(folder)
    rows = len(tokenizer) - 1
    refusal = rf"token ids up to {rows} \('<\|extra\|>'\), but the model's embedding has only {rows} rows"
    lines: list[str] = []
    with pytest.raises(ModelError, match=refusal):
        train(recipe(tmp_path / "base", chats, tmp_path / "new", "pointwise"), log=lines.append)
    assert not any("Loading" in line for line in lines)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ModelError, match=refusal):
        load_judge(tmp_path / "run")
