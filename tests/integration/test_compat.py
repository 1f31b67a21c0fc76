"""Every compatibility API, with the requests of its clients: sent by their own code if installed, or built as they do.

For OpenRLHF 0.11.0, verl 0.8.0.dev (b178a3c) and LLaMA-Factory 0.9.6.dev0 (ff6d4d1), the function named above a test
was also copied from the source and run with a served judge by hand: these tests post what it posts, and read what it
reads of the answer. The SDKs of Cohere (7.3.1) and OpenAI (3.57.0) are tested if they are installed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp
from time import sleep
from typing import Any

import pytest
import uvicorn
from huggingface_hub import InferenceClient
from scipy.special import softmax
from starlette.testclient import TestClient

from tiebreak import Judge, load_judge, reward_function
from tiebreak.rewards.policy import policy_parser
from tiebreak.rewards.rendered_text import rewards_of_rendered_text
from tiebreak.serving import create_app
from tiebreak.text.template import REWARD_TEMPLATE, SEED_TEMPLATE
from tiebreak.training import TrainingResult
from tiebreak.types import Conversation

GEMMA = "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n"
QWEN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
PROMPT = "question 1 2 ?"
ANSWERS = ["good answer", "bad answer", "plain answer", "good good"]


@dataclass(frozen=True)
class Served:
    """A judge, the folder of its run, and a client of the app around it."""

    judge: Judge
    folder: str
    client: TestClient

    def post(self, path: str, body: dict[str, Any]) -> Any:
        response = self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def refusal(self, path: str, body: dict[str, Any], status: int = 422) -> str:
        response = self.client.post(path, json=body)
        assert response.status_code == status, response.text
        error = response.json()["error"]
        return str(error if isinstance(error, str) else error["message"])

    def rewards(self, answers: list[str] = ANSWERS) -> list[float]:
        return [self.judge.score(PROMPT, answer).reward for answer in answers]


def served(run: TrainingResult) -> Iterator[Served]:
    judge = load_judge(run.folder.path)
    with TestClient(create_app(judge, name="judge", grace=1)) as client:
        yield Served(judge, str(run.folder.path), client)


@pytest.fixture(scope="module")
def pairs(small_run: TrainingResult) -> Iterator[Served]:
    yield from served(small_run)


@pytest.fixture(scope="module")
def rewards(small_rewards: TrainingResult) -> Iterator[Served]:
    yield from served(small_rewards)


@pytest.fixture(scope="module")
def url(rewards: Served) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(rewards.client.app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def close(numbers: Any) -> Any:
    if isinstance(numbers, list) and isinstance(numbers[0], list):
        return [close(one) for one in numbers]
    return pytest.approx(numbers, abs=1e-5)


def logistic(number: float) -> float:
    return 1 / (1 + exp(-number))


def rendered(answer: str, prompt: str = PROMPT) -> str:
    return REWARD_TEMPLATE.text.replace("{prompt}", prompt).replace("{response}", answer)


def rendered_pair(a: str, b: str) -> str:
    return SEED_TEMPLATE.text.replace("{prompt}", PROMPT).replace("{response_a}", a).replace("{response_b}", b)


# OpenRLHF 0.11.0: openrlhf/utils/agent.py, SingleTurnAgentExecutor._fetch_rewards_via_http


def openrlhf_payload(prompt: str, answers: list[str], end: str) -> dict[str, Any]:
    queries = [f"{prompt}{answer}{end}" for answer in answers]  # hf_tokenizer.decode(..., skip_special_tokens=False)
    return {"query": queries, "prompts": [prompt] * len(answers), "labels": ["42"] * len(answers)}


PHI_3 = "<|user|>\n{}<|end|>\n<|assistant|>\n"


@pytest.mark.parametrize(("template", "end"), [(GEMMA, "<end_of_turn>"), (QWEN, "<|im_end|>"), (PHI_3, "<|end|>")])
def test_openrlhf(rewards: Served, template: str, end: str) -> None:
    payload = openrlhf_payload(template.format(PROMPT), ANSWERS, end)
    found = rewards.post("/get_reward", payload)
    assert found["rewards"] == close([rewards.judge.score(PROMPT, answer).normalised for answer in ANSWERS])
    assert found["scores"] == close([logistic(one) for one in found["rewards"]])
    assert found["extra_logs"] == {"unscored": [0.0] * len(ANSWERS)}
    for number, query in enumerate(payload["query"]):  # it posts one sample a request
        alone = rewards.post("/get_reward", {"query": [query], "prompts": payload["prompts"][:1], "labels": [None]})
        assert alone["rewards"] == close([found["rewards"][number]])


def test_openrlhf_gets_the_rewards_of_its_own_file(rewards: Served, pairs: Served) -> None:
    payload = openrlhf_payload(GEMMA.format(PROMPT), ANSWERS, "<end_of_turn>")
    for one in (rewards, pairs):
        found = one.post("/get_reward", payload)
        in_process = rewards_of_rendered_text(reward_function(one.folder), payload["prompts"], payload["query"])
        assert found["rewards"] == close(in_process)


def test_openrlhf_texts_in_no_template_are_refused(rewards: Served) -> None:
    payload = openrlhf_payload(PROMPT, ANSWERS, "<eos>")
    assert "prompts: the template of a text is unknown" in rewards.refusal("/get_reward", payload)
    assert "--policy" in rewards.refusal("/get_reward", payload)
    known = openrlhf_payload(GEMMA.format(PROMPT), ANSWERS[:1], "<end_of_turn>")
    found = rewards.post("/get_reward", {name: payload[name] + known[name] for name in ("query", "prompts")})
    assert found["extra_logs"]["unscored"] == [1.0] * len(ANSWERS) + [0.0]
    app = create_app(rewards.judge, name="judge", grace=1, policy=policy_parser("none"))
    with TestClient(app) as client:  # of a policy that has no template
        found = client.post("/get_reward", json=payload).json()
    assert found["rewards"] == close([rewards.judge.score(PROMPT, answer).normalised for answer in ANSWERS])
    app = create_app(rewards.judge, name="judge", grace=1, policy=policy_parser("zephyr"))
    with TestClient(app) as client:
        zephyr = openrlhf_payload(f"<|user|>\n{PROMPT}</s>\n<|assistant|>\n", ANSWERS, "</s>")
        assert client.post("/get_reward", json=zephyr).json()["rewards"] == found["rewards"]
        refused = client.post("/get_reward", json=openrlhf_payload(QWEN.format(PROMPT), ANSWERS, "<|im_end|>"))
    assert refused.status_code == 422


def test_openrlhf_samples_with_tools_are_marked(rewards: Served) -> None:
    prompts = [GEMMA.format(PROMPT), GEMMA.format(PROMPT).replace("user", "tool")]
    payload = {"query": [f"{p}good<end_of_turn>" for p in prompts], "prompts": prompts, "labels": [None, None]}
    found = rewards.post("/get_reward", payload)
    assert found["extra_logs"]["unscored"] == [0.0, 1.0]
    assert (found["rewards"][1], found["scores"][1]) == (0.0, 0.5)
    assert found["rewards"][0] == close(rewards.judge.score(PROMPT, "good").normalised)


def test_openrlhf_clients_that_send_no_prompts(rewards: Served) -> None:
    """The request of `serve_rm` before 0.5: {"query": [...]} only."""
    payload = openrlhf_payload(GEMMA.format(PROMPT), ANSWERS, "<end_of_turn>")
    assert rewards.post("/get_reward", {"query": payload["query"]}) == rewards.post("/get_reward", payload)
    assert "template of a text is unknown" in rewards.refusal("/get_reward", {"query": ["good answer"]})
    assert "query[0] does not begin with prompts[0]" in rewards.refusal(
        "/get_reward", {"query": ["good answer"], "prompts": ["another prompt"]}
    )
    assert "query has 1 texts and prompts has 2" in rewards.refusal(
        "/get_reward", {"query": ["a"], "prompts": ["a", "b"]}
    )


def test_openrlhf_asks_a_pairwise_judge_for_one_answer(pairs: Served) -> None:
    payload = openrlhf_payload(GEMMA.format(PROMPT), ANSWERS[:1], "<end_of_turn>")
    assert "a prompt has only one answer" in pairs.refusal("/get_reward", payload)


# verl 0.8.0.dev: verl/experimental/reward_loop/reward_loop.py, compute_score_disrm


def test_verl_with_vllm(rewards: Served) -> None:
    """Rendered by the reward model's chat template, without its BOS; verl reads the last number of the last text."""
    for flag in ("activation", "use_activation"):  # which it is depends on vLLM's version
        payload = {"model": "judge", "input": rendered(ANSWERS[0]), flag: False}
        output = rewards.post("/classify", payload)
        assert output["data"][-1]["probs"][-1] == close(rewards.rewards()[0])


def test_verl_with_sglang(rewards: Served) -> None:
    """verl/workers/rollout/sglang_rollout/http_server_engine.py, reward_score: one text, one object."""
    output = rewards.post("/classify", {"text": rendered(ANSWERS[0])})
    assert output["embedding"] == close(rewards.rewards()[:1])


# vLLM: examples/pooling/classify, examples/pooling/score


@pytest.mark.parametrize("form", [rendered, lambda answer: f"{GEMMA.format(PROMPT)}{answer}<end_of_turn>\n"])
def test_vllm_classify_of_an_answer(rewards: Served, form: Any) -> None:
    found = rewards.post("/classify", {"model": "judge", "input": [form(answer) for answer in ANSWERS]})
    assert [one["probs"] for one in found["data"]] == close([[reward] for reward in rewards.rewards()])
    assert [(one["index"], one["label"], one["num_classes"]) for one in found["data"]] == [
        (i, "reward", 1) for i in range(len(ANSWERS))
    ]
    assert (found["object"], found["model"]) == ("list", "judge")
    tokens = sum(rewards.judge.score(PROMPT, answer).tokens_read for answer in ANSWERS)
    assert found["usage"] == {
        "prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": None,
    }  # fmt: skip
    readings = rewards.judge.read_many([rendered(answer) for answer in ANSWERS])  # as an exported folder reads them
    assert [one["probs"] for one in found["data"]] == close([list(reading.outputs) for reading in readings])
    # A regression's reward goes through no activation, whatever the request says
    same = rewards.post("/v1/classify", {"input": [form(answer) for answer in ANSWERS], "use_activation": False})
    assert same["data"] == found["data"]


def test_vllm_classify_of_a_pair(pairs: Served) -> None:
    text = rendered_pair("good answer", "bad answer")
    verdict = pairs.judge.compare(PROMPT, "good answer", "bad answer")
    [reading] = pairs.judge.read_many([text])
    [found] = pairs.post("/classify", {"input": text})["data"]
    assert found["probs"] == close([verdict.model_a, verdict.model_b, verdict.tie])
    assert found["probs"] == close(reading.probabilities)
    assert found["label"] == verdict.answer
    [raw] = pairs.post("/classify", {"input": text, "use_activation": False})["data"]
    assert raw["probs"] == close(reading.outputs)
    assert pairs.post("/classify", {"input": text, "softmax": False})["data"] == [raw]


def test_vllm_classify_of_messages(rewards: Served, pairs: Served) -> None:
    history = [
        {"role": "system", "content": "plain"}, {"role": "user", "content": "question 1 ?"},
        {"role": "assistant", "content": "good"}, {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]  # fmt: skip
    asked = ["plain\n\nquestion 1 ?", PROMPT]
    [found] = rewards.post("/classify", {"messages": [*history, {"role": "assistant", "content": "bad"}]})["data"]
    assert found["probs"] == close([rewards.judge.score(asked, ["good", "bad"]).reward])
    both = [{"role": "response_a", "content": "bad"}, {"role": "response_b", "content": "good good"}]
    body = {"messages": [*history, *both]}
    verdict = pairs.judge.compare(asked, ["good", "bad"], ["good", "good good"])
    [found] = pairs.post("/classify", body)["data"]
    assert found["probs"] == close([verdict.model_a, verdict.model_b, verdict.tie])
    raw = pairs.post("/classify", body | {"use_activation": False})["data"][0]["probs"]
    assert [exp(one) / sum(map(exp, raw)) for one in raw] == close(found["probs"])
    assert "scores one answer at a time" in rewards.refusal("/classify", body)
    assert "response_a and response_b" in pairs.refusal("/classify", {"messages": history[:3]})
    assert "messages: the roles are" in rewards.refusal("/classify", {"messages": history})


def test_several_turns_in_the_judges_own_template(rewards: Served) -> None:
    """As an export's chat template renders them."""
    asked, replied = ("question 1 ?", PROMPT), ("good", "bad answer")
    text = REWARD_TEMPLATE.render(Conversation(asked, replied))
    [found] = rewards.post("/classify", {"input": f"<bos>{text}"})["data"]
    assert found["probs"] == close([rewards.judge.score(asked, replied).reward])


def test_vllm_pooling(rewards: Served, pairs: Served) -> None:
    found = rewards.post("/pooling", {"model": "judge", "input": [rendered(answer) for answer in ANSWERS]})
    assert [one["data"] for one in found["data"]] == close([[reward] for reward in rewards.rewards()])
    assert {one["object"] for one in found["data"]} == {"pooling"}
    text = rendered_pair("good", "bad")
    for activated in (True, False):
        body = {"input": text, "use_activation": activated}
        assert pairs.post("/pooling", body)["data"][0]["data"] == pairs.post("/classify", body)["data"][0]["probs"]
    assert "encoding_format" in pairs.refusal("/pooling", {"input": text, "encoding_format": "base64"})


def test_the_judge_reads_one_bos(rewards: Served, pairs: Served, tiny_base: Any) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    for one, text in ((rewards, rendered("good answer")), (pairs, rendered_pair("good answer", "bad"))):
        ids = tokenizer(text)["input_ids"]
        assert ids[:2].count(tokenizer.bos_token_id) == 1
        forms: list[Any] = [text, f"<bos>{text}", f"<bos><bos>{text}", ids, ids[1:], [ids[0], *ids]]
        answers = [one.post("/classify", {"input": form}) for form in forms]
        assert [answer["usage"]["prompt_tokens"] for answer in answers] == [len(ids)] * len(forms)
        assert [answer["data"][0]["probs"] for answer in answers] == close(
            [answers[0]["data"][0]["probs"]] * len(forms)
        )
        many = one.post("/classify", {"input": [forms[3], forms[4]]})["data"]
        assert [answer["probs"] for answer in many] == close([answers[0]["data"][0]["probs"]] * 2)
    chat = f"{GEMMA.format(PROMPT)}good answer<end_of_turn>\n"
    for form in (chat, chat.removeprefix("<bos>"), f"<bos>{chat}"):
        assert rewards.post("/classify", {"input": form})["data"][0]["probs"] == close(rewards.rewards()[:1])


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
def test_vllm_score(rewards: Served, path: str) -> None:
    expected = rewards.rewards()
    found = rewards.post(path, {"model": "judge", "text_1": PROMPT, "text_2": ANSWERS})
    assert [one["score"] for one in found["data"]] == close(expected)
    assert {one["object"] for one in found["data"]} == {"score"}
    assert found["usage"]["prompt_tokens"] == sum(rewards.judge.score(PROMPT, a).tokens_read for a in ANSWERS)
    for body in (
        {"queries": PROMPT, "documents": ANSWERS},
        {"data_1": [PROMPT], "data_2": ANSWERS},
        {"queries": [PROMPT] * len(ANSWERS), "items": ANSWERS},
    ):
        assert rewards.post(path, body)["data"] == found["data"]
    assert [one["score"] for one in rewards.post(path, {"text_1": PROMPT, "text_2": ANSWERS[0]})["data"]] == close(
        expected[:1]
    )
    assert "text_1 has 2 texts and text_2 has 4" in rewards.refusal(path, {"text_1": ["a", "b"], "text_2": ANSWERS})


def test_vllm_score_by_a_pairwise_judge(pairs: Served) -> None:
    ranking = pairs.judge.rank(PROMPT, ANSWERS)
    found = pairs.post("/score", {"text_1": PROMPT, "text_2": ANSWERS})["data"]
    assert [one["score"] for one in found] == close(list(ranking.rewards))
    other = pairs.judge.rank("question 3 ?", ANSWERS[:2])
    prompts = [PROMPT, "question 3 ?", *[PROMPT] * 3, "question 3 ?"]
    answers = [ANSWERS[0], ANSWERS[0], *ANSWERS[1:], ANSWERS[1]]
    found = pairs.post("/score", {"text_1": prompts, "text_2": answers})["data"]
    assert [found[i]["score"] for i in (0, 2, 3, 4)] == close(list(ranking.rewards))
    assert [found[i]["score"] for i in (1, 5)] == close(list(other.rewards))
    assert "a prompt has only one answer" in pairs.refusal("/score", {"text_1": PROMPT, "text_2": "good"})


def test_the_servers_own_score_stays_where_it_was(rewards: Served) -> None:
    found = rewards.post("/v1/score", {"prompt": PROMPT, "answer": ANSWERS[0]})
    assert found["reward"] == close(rewards.rewards()[0])
    assert "answer: Field required" in rewards.refusal("/v1/score", {"prompt": PROMPT})
    assert "vLLM.text_2: Field required" in rewards.refusal("/v1/score", {"text_1": PROMPT})


# Jina's clients; and Cohere's SDK 7.3.1 (cohere/base_client.py, cohere/v2/client.py), which omits unset arguments


@pytest.mark.parametrize(
    ("path", "documents", "more"),
    [
        ("/rerank", ANSWERS, {}),
        ("/v1/rerank", ANSWERS, {"return_documents": True}),
        ("/v2/rerank", ANSWERS, {"max_tokens_per_doc": 4096}),
        ("/v1/rerank", [{"text": answer} for answer in ANSWERS], {"rank_fields": ["text"], "max_chunks_per_doc": 1}),
    ],
)
def test_rerank(rewards: Served, pairs: Served, path: str, documents: list[Any], more: dict[str, Any]) -> None:
    body = {"model": "judge", "query": PROMPT, "documents": documents, **more}
    for one, expected in ((rewards, rewards.rewards()), (pairs, list(pairs.judge.rank(PROMPT, ANSWERS).rewards))):
        results = one.post(path, body)["results"]
        order = sorted(range(len(ANSWERS)), key=lambda i: -expected[i])
        assert [result["index"] for result in results] == order
        assert [result["relevance_score"] for result in results] == close([logistic(expected[i]) for i in order])
        assert [result["document"] for result in results] == [{"text": ANSWERS[i]} for i in order]
        top = one.post(path, body | {"top_n": 2, "return_documents": False, "use_activation": False})["results"]
        assert top == [{"index": i, "relevance_score": close(expected[i])} for i in order[:2]]
    assert pairs.post(path, body | {"documents": documents[:1]})["results"][0]["relevance_score"] == 0.5


@pytest.mark.parametrize("client", ["Client", "ClientV2"])
def test_rerank_by_coheres_sdk(rewards: Served, url: str, client: str) -> None:
    cohere = pytest.importorskip("cohere")
    asked = {"model": "judge", "query": PROMPT, "documents": ANSWERS, "top_n": 3}
    found = getattr(cohere, client)(base_url=url, api_key="ignored").rerank(**asked)
    expected = rewards.rewards()
    order = sorted(range(len(ANSWERS)), key=lambda i: -expected[i])[:3]
    assert [one.index for one in found.results] == order
    assert [one.relevance_score for one in found.results] == close([logistic(expected[i]) for i in order])


def test_openais_sdk(url: str) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="ignored")
    assert [model.id for model in client.models.list().data] == ["judge"]
    with pytest.raises(openai.NotFoundError, match="Name judge, or leave the model out"):
        client.post("/score", body={"model": "gpt-4", "text_1": PROMPT, "text_2": "good"}, cast_to=object)


def test_truncate_prompt_tokens(rewards: Served) -> None:
    tokens = rewards.judge.score(PROMPT, "good").tokens_read
    for most in (-1, tokens, None):
        rewards.post("/classify", {"input": rendered("good"), "truncate_prompt_tokens": most})
        rewards.post("/rerank", {"query": PROMPT, "documents": ["good"], "truncate_prompt_tokens": most})
    for path, body in (("/classify", {"input": rendered("good")}), ("/score", {"text_1": PROMPT, "text_2": "good"})):
        refused = rewards.refusal(path, body | {"truncate_prompt_tokens": tokens - 1})
        assert f"A text has {tokens} tokens, but truncate_prompt_tokens is {tokens - 1}" in refused


def test_long_texts_are_truncated_as_in_training(rewards: Served, pairs: Served) -> None:
    long = "good bad " * 400
    expected = rewards.judge.score(PROMPT, long)
    assert expected.tokens_lost
    for text in (rendered(long), f"{GEMMA.format(PROMPT)}{long}<end_of_turn>\n"):
        assert rewards.post("/classify", {"input": text})["data"][0]["probs"] == close([expected.reward])
    verdict = pairs.judge.compare(PROMPT, long, "bad")
    text = rendered_pair(long, "bad")
    assert pairs.post("/classify", {"input": text})["data"][0]["probs"] == close(
        [verdict.model_a, verdict.model_b, verdict.tie]
    )
    logits = pairs.post("/classify", {"input": text, "use_activation": False})["data"][0]["probs"]
    assert softmax(logits).tolist() == close([verdict.model_a, verdict.model_b, verdict.tie])
    assert "over the judge's limit" in rewards.refusal("/predict", {"inputs": rendered(long), "truncate": False})


# text-embeddings-inference: huggingface_hub's InferenceClient, and router/src/http/types.rs


def test_tei_predict_by_hugging_faces_client(rewards: Served, url: str) -> None:
    client = InferenceClient(model=f"{url}/predict", token="ignored")
    found = client.text_classification(rendered("good"))
    # Its annotation says a list; of TEI's flat list it returns the first
    assert (found.label, found.score) == ("reward", close(logistic(rewards.rewards(["good"])[0])))  # type: ignore[attr-defined]


def test_tei_predict(rewards: Served, pairs: Served) -> None:
    [expected] = rewards.rewards(["good"])
    for inputs in (rendered("good"), [rendered("good")], [PROMPT, "good"]):
        assert rewards.post("/predict", {"inputs": inputs, "truncate": True}) == [
            {"score": close(logistic(expected)), "label": "reward"}
        ]
    batch = {"inputs": [[rendered("good")], [PROMPT, "good"]], "raw_scores": True}
    assert rewards.post("/predict", batch) == [[{"score": close(expected), "label": "reward"}]] * 2
    verdict = pairs.judge.compare(PROMPT, "good", "bad")
    probabilities = {"model_a": verdict.model_a, "model_b": verdict.model_b, "tie": verdict.tie}
    found = pairs.post("/predict", {"inputs": rendered_pair("good", "bad")})
    assert {one["label"]: one["score"] for one in found} == close(probabilities)
    assert [one["score"] for one in found] == close(sorted(probabilities.values(), reverse=True))
    [reading] = pairs.judge.read_many([rendered_pair("good", "bad")])
    [raw] = pairs.post("/predict", {"inputs": [[rendered_pair("good", "bad")]], "raw_scores": True})
    assert [one["score"] for one in raw] == close(sorted(reading.outputs, reverse=True))


def test_tei_rerank(rewards: Served, pairs: Served) -> None:
    body = {"query": PROMPT, "texts": ANSWERS}
    for one, expected in ((rewards, rewards.rewards()), (pairs, list(pairs.judge.rank(PROMPT, ANSWERS).rewards))):
        order = sorted(range(len(ANSWERS)), key=lambda i: -expected[i])
        assert one.post("/rerank", body) == [{"index": i, "score": close(logistic(expected[i]))} for i in order]
        raw = one.post("/rerank", body | {"raw_scores": True, "return_text": True, "truncate": False})
        assert raw == [{"index": i, "text": ANSWERS[i], "score": close(expected[i])} for i in order]


# SGLang: docs/basic_usage/native_api, /classify of a reward model, by `requests`


def test_sglang_classify(rewards: Served, pairs: Served) -> None:
    """`{"model": ..., "text": prompts}`, and `response["embedding"][0]` of each is read."""
    prompts = [f"{QWEN.format(PROMPT)}{answer}<|im_end|>\n" for answer in ANSWERS]
    found = rewards.post("/classify", {"model": "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2", "text": prompts})
    assert [one["embedding"][0] for one in found] == close(rewards.rewards())
    assert found[0]["meta_info"]["prompt_tokens"] == rewards.judge.score(PROMPT, ANSWERS[0]).tokens_read
    assert rewards.post("/classify", {"text": prompts[0]})["embedding"] == close(found[0]["embedding"])
    ids = [1, 5, 6, 7]
    [reading] = pairs.judge.read_many([ids])
    assert pairs.post("/classify", {"input_ids": ids})["embedding"] == close(reading.outputs)
    assert [one["embedding"] for one in pairs.post("/classify", {"input_ids": [ids]})] == [close(reading.outputs)]
    assert "either text or input_ids" in rewards.refusal("/classify", {"text": "a", "input_ids": [1]})


# LLaMA-Factory 0.9.6.dev0: src/llamafactory/train/ppo/ppo_utils.py, get_rewards_from_server


def test_llamafactory(rewards: Served, pairs: Served) -> None:
    """Decoded with special tokens, padded on the left; and "model" is what it calls every model."""
    messages = [f"<pad><pad>{GEMMA.format(PROMPT)}{answer}<end_of_turn><pad>" for answer in ANSWERS]
    found = rewards.post("/v1/score/evaluation", {"model": "model", "messages": messages})
    assert found["scores"] == close(rewards.rewards())
    assert (found["object"], found["model"]) == ("score.evaluation", "model")
    ranking = pairs.judge.rank(PROMPT, ANSWERS)
    assert pairs.post("/v1/score/evaluation", {"messages": messages})["scores"] == close(list(ranking.rewards))
    assert "max_length is 3" in rewards.refusal("/v1/score/evaluation", {"messages": messages, "max_length": 3})
    assert "has two answers" in pairs.refusal("/v1/score/evaluation", {"messages": [rendered_pair("good", "bad")]})
