"""The built-in nano model: its tokenizer loses nothing, its texts tell the truth, its checkpoint knows its sums."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, Gemma2ForCausalLM

from tiebreak.data.synthetic import LARGEST_OPERAND as LARGEST_COMPARED
from tiebreak.data.synthetic import arithmetic_comparisons
from tiebreak.models.nano import NANO_PATH
from tiebreak.models.nano.corpus import LARGEST_OPERAND, compile_templates, draw_numbers
from tiebreak.models.nano.pretrain import accuracy, nano_config, pretrain, save
from tiebreak.models.nano.tokenizer import BOS, LARGEST_NUMBER, build_tokenizer

TOKENIZER = build_tokenizer()
PIECES = (
    "3",
    "12",
    "137",
    "+",
    "is",
    "Response_a",
    "Response_",
    "--------",
    "---",
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "?",
    "é",
)
TEMPLATE = "Prompt: {} \n\nResponse_a: {}\n\nResponse_b: {}\n\n--------\n\nWhich one is better ?"


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(NANO_PATH, dtype=torch.float32)


@pytest.fixture(scope="module")
def templates():
    return compile_templates(TOKENIZER, 2000, seed=7)


@pytest.fixture(scope="module")
def texts(templates):
    ids, _ = templates.draw(2000, torch.Generator().manual_seed(7))
    return TOKENIZER.batch_decode(ids, skip_special_tokens=True)


@given(st.text(max_size=40) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_comes_back_as_it_was(text):
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.decode(ids[1:]) == text


@given(st.integers(0, LARGEST_NUMBER))
def test_a_number_is_one_token_with_a_space_before_it_or_without(number):
    assert len(TOKENIZER.encode(f"{number}", add_special_tokens=False)) == 1
    assert len(TOKENIZER.encode(f" {number}", add_special_tokens=False)) == 1
    assert len(TOKENIZER.encode(f"{number}+{number}={number}.", add_special_tokens=False)) == 6


def test_bos_stands_once_in_front_and_nothing_at_the_end():
    ids = TOKENIZER("1 + 1 = ?")["input_ids"]
    assert ids[0] == TOKENIZER.bos_token_id
    assert ids.count(TOKENIZER.bos_token_id) == 1
    assert ids[-1] == TOKENIZER.convert_tokens_to_ids("Ġ?")
    assert (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id, TOKENIZER.bos_token_id) == (0, 1, 2)


def test_the_shipped_tokenizer_is_the_one_the_code_builds():
    shipped = AutoTokenizer.from_pretrained(NANO_PATH)
    assert shipped.is_fast
    assert shipped.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()
    assert shipped.all_special_tokens == TOKENIZER.all_special_tokens


def test_a_comparison_of_sums_is_spelt_in_whole_words():
    """Not one letter of a word falls apart into bytes: every token with a letter in it is a word of the text."""
    for row in arithmetic_comparisons(200, seed=0, split="train"):
        text = TEMPLATE.format(row.prompt[0], row.answer_a[0], row.answer_b[0])
        tokens = TOKENIZER.convert_ids_to_tokens(TOKENIZER(text)["input_ids"])
        assert tokens[0] == BOS
        words = [token.removeprefix("Ġ") for token in tokens[1:] if re.search(r"[A-Za-z]", token)]
        assert words == re.findall(r"[A-Za-z_]+", text)


def test_wrong_sums_are_wrong_and_every_number_has_a_token():
    x, y, total, larger, *wrong = draw_numbers(20_000, torch.Generator().manual_seed(0)).unbind(1)
    assert torch.equal(total, x + y)
    assert torch.equal(larger, torch.maximum(x, y))
    assert max(x.max(), y.max()) == LARGEST_OPERAND >= LARGEST_COMPARED
    for number in wrong:
        assert not (number == total).any()
        assert number.min() == 0
        assert number.max() == LARGEST_NUMBER


def test_texts_judge_candidates_as_arithmetic_does(texts):
    """Read the texts back without knowing their templates: the last number of a candidate against the sum."""
    judged = 0
    for text in texts:
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        total = sum(int(number) for number in re.findall(r"\d+", lines[0])[:2])
        candidates = [line.split(": ") for line in lines[1:] if ": " in line]
        right = {label: int(re.findall(r"\d+", answer)[-1]) == total for label, answer in candidates}
        tail = "\n".join(line for line in lines[1:] if ": " not in line)
        if count := re.search(r"How many are (?:right|correct) \? (\d+)", tail):
            assert int(count[1]) == sum(right.values()), text
        answered = re.findall(r"Is ([\w ]+?) (right|correct|wrong|incorrect) \? (yes|no)", tail)
        stated = [
            (label, word, "yes") for label, word in re.findall(r"([\w ]+?) is (right|correct|wrong|incorrect)", tail)
        ]
        for label, word, answer in answered + stated:
            assert (right[label.strip()] == (word in ("right", "correct"))) == (answer == "yes"), text
            judged += 1
    assert judged > 1000


def test_no_text_compares_two_answers(texts):
    for text in texts:
        assert not re.search(r"better|worse|best|tie\b|prefer|than", text)


def test_determined_tokens_are_sums_verdicts_and_counts(templates):
    ids, determined = templates.draw(500, torch.Generator().manual_seed(1))
    words = {token.removeprefix("Ġ") for token in TOKENIZER.convert_ids_to_tokens(ids[determined].tolist())}
    assert {word for word in words if not word.isdigit()} == {"yes", "no", "right", "wrong", "correct", "incorrect"}
    assert (determined & (ids == TOKENIZER.pad_token_id)).sum() == 0


def test_the_checkpoint_is_a_small_gemma_2(model):
    config = model.config
    assert type(model) is Gemma2ForCausalLM
    assert config.layer_types == ["sliding_attention", "full_attention"] * 2
    assert (config.attn_logit_softcapping, config.final_logit_softcapping) == (50.0, 30.0)
    assert config.query_pre_attn_scalar == config.head_dim == 32
    assert config.sliding_window == 32
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.num_parameters() == 1_066_624
    assert sum(file.stat().st_size for file in NANO_PATH.glob("*.*")) < 3e6
    assert config.to_diff_dict().keys() - nano_config(TOKENIZER).to_diff_dict().keys() <= {"dtype", "architectures"}


def test_the_checkpoint_knows_which_answers_are_right(model, templates):
    assert accuracy(model, templates, seed=3, rows=400) > 0.99


def test_the_checkpoint_knows_its_sums(model):
    operands = range(LARGEST_COMPARED + 1)
    texts = [f"Prompt: {x} + {y} = ?\n\nThe answer is" for x in operands for y in operands]
    ids = TOKENIZER(texts, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        answered = model(input_ids=ids, logits_to_keep=1).logits[:, -1].argmax(-1)
    sums = [TOKENIZER.convert_tokens_to_ids(f"Ġ{x + y}") for x in operands for y in operands]
    assert (answered == torch.tensor(sums)).float().mean() > 0.99


def test_a_classifier_loads_from_the_checkpoint_with_all_but_its_head():
    _, report = AutoModelForSequenceClassification.from_pretrained(
        NANO_PATH, num_labels=3, dtype=torch.float32, output_loading_info=True
    )
    assert set(report["missing_keys"]) == {"score.weight"}
    assert not report["unexpected_keys"]


def trained(steps: int, templates) -> Gemma2ForCausalLM:
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(nano_config(TOKENIZER))
    pretrain(model, templates, steps=steps, rows=16, seed=0)
    return model


def test_pretraining_learns_and_repeats_itself(templates, tmp_path):
    ids, _ = templates.draw(64, torch.Generator().manual_seed(5))

    def loss(model):
        with torch.no_grad():
            return model(input_ids=ids, labels=ids.where(ids != TOKENIZER.pad_token_id, -100)).loss.item()

    first, second = trained(8, templates), trained(8, templates)
    assert loss(first) < loss(trained(1, templates)) - 0.5
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    save(first, TOKENIZER, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        file.name for file in NANO_PATH.iterdir() if file.suffix in (".json", ".safetensors")
    )
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert loss(again) == pytest.approx(loss(second), abs=0.02)  # what bfloat16 leaves of it
