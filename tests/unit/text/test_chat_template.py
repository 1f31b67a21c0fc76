"""`text.template: chat` gives the tokens of `apply_chat_template`."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tiebreak.errors import RecipeError
from tiebreak.text import CHAT, SEED_TEMPLATE, Encoder, resolve_template
from tiebreak.types import Comparison, Conversation

from .conftest import CORPUS, GEMMA

ROLES_ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}"
    "{% endif %}"
)
TEMPLATES = {
    "chatml": (
        "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
        "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}" + ROLES_ALTERNATE + "{{ '<start_of_turn>' + ('model' if "
        "message['role'] == 'assistant' else 'user') + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
        "{% endfor %}"
    ),
    "llama 3": (
        "{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}"
        "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}"
        "{% endif %}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}"
        "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
        "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n' + system + "
        "'<|eot_id|>' }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + "
        "'<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    ),
    "mistral": (
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}"
        "{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
        "{{ bos_token }}{% for message in turns %}" + ROLES_ALTERNATE + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + (system if loop.last or loop.index0 == turns | length - 2 else '') + message['content'] + "
        "'[/INST]' }}{% else %}{{ ' ' + message['content'] | trim + eos_token }}{% endif %}{% endfor %}"
    ),
    "phi 3": (
        "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + "
        "'<|end|>\n' }}{% endfor %}{{ eos_token if not add_generation_prompt }}"
    ),
    "zephyr": (
        "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
        "{% endfor %}"
    ),
}
MARKERS = [
    "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "[INST]", "[/INST]", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>",
]  # fmt: skip
TODAY = date(2026, 11, 28)


def build(name: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer, or for Gemma and Mistral one with spaces as a letter; all but ChatML's add a BOS."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if name in ("gemma", "mistral"):
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        alphabet = [*map(chr, range(9, 127)), "▁"]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(["user\n", "assistant\n", "model\n", *CORPUS], trainer)
    # Some published checkpoints do not mark the tokens of their template as special.
    tokenizer.add_tokens([AddedToken(token, special=name != "chatml", normalized=False) for token in MARKERS])
    if name != "chatml":
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    built = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    built.chat_template = TEMPLATES[name]
    return built


@pytest.fixture(scope="module", params=[*TEMPLATES, "real gemma"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    if request.param != "real gemma":
        return build(request.param)
    if not (GEMMA / "tokenizer.json").is_file():
        pytest.skip("no Gemma tokenizer beside the checkout")
    real: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(GEMMA)
    real.chat_template = TEMPLATES["gemma"]
    return real


def encoder_of(
    tokenizer: PreTrainedTokenizerFast, head: Literal["pairwise", "pointwise"], max_length: int = 10_000
) -> Encoder[Any]:
    template: Any = resolve_template(CHAT, head, tokenizer, today=TODAY)
    return Encoder(tokenizer, template, max_length)


def rows(count: int) -> list[Comparison]:
    """Conversations of one to four turns, a third with a system message, some with a shared history."""
    draw = random.Random(0)
    words = [*" ".join(CORPUS).split(), "\n", "\n\n", "  ", "é", "中", "<b>", "{{ x }}", "user", "assistant\n", " "]

    def text() -> str:
        return "x" + " ".join(draw.choices(words, k=draw.randint(1, 12)))

    made = []
    for i in range(count):
        turns, history = draw.randint(1, 4), draw.randint(0, 3)
        prompt, a, b = ([text() for _ in range(turns)] for _ in range(3))
        system = text() if i % 3 == 0 else ""
        prompt[0] = f"{system}\n\n{prompt[0]}" if system else prompt[0]
        made.append(Comparison(tuple(prompt), tuple(a), (*a[:history], *b[history:]), system=system))
    return made


def messages_of(
    row: Conversation | Comparison, tokenizer: PreTrainedTokenizerFast, *, turns: int
) -> list[dict[str, str]]:
    """The system message, as the template takes it, and the first turns of the row."""
    has_system = "System role not supported" not in tokenizer.chat_template
    answers = row.answer if isinstance(row, Conversation) else row.answer_a
    prompt = row.user_turns if has_system else row.prompt
    chat = [("system", row.system)] if row.system and has_system else []
    for user, reply in zip(prompt[:turns], answers, strict=False):
        chat += [("user", user), ("assistant", reply)]
    return [{"role": role, "content": content} for role, content in chat]


def apply(tokenizer: PreTrainedTokenizerFast, chats: list[Any]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer.apply_chat_template(chats, tokenize=True, return_dict=False)
    return ids


def test_1000_answers_have_the_tokens_of_apply_chat_template(tokenizer: PreTrainedTokenizerFast) -> None:
    sides = [row.conversations[1] for row in rows(1000)]
    encoded = encoder_of(tokenizer, "pointwise").encode(sides)
    expected = apply(tokenizer, [messages_of(side, tokenizer, turns=9) for side in sides])
    assert [row.ids.tolist() for row in encoded] == expected
    bos = [row.ids.tolist().count(tokenizer.bos_token_id) for row in encoded]
    assert set(bos) == ({1} if "bos_token" in tokenizer.chat_template else {0})  # what the template writes


def test_1000_comparisons_are_turns_and_one_message(tokenizer: PreTrainedTokenizerFast) -> None:
    comparisons = rows(1000)
    encoded = encoder_of(tokenizer, "pairwise").encode(comparisons)
    chats = []
    for row in comparisons:
        pairs = list(zip(row.answer_a[:-1], row.answer_b[:-1], strict=True))
        shared = next((turn for turn, (a, b) in enumerate(pairs) if a != b), len(pairs))
        chat = messages_of(row, tokenizer, turns=shared)
        prompts = row.prompt if not shared and "System role" in tokenizer.chat_template else row.user_turns
        slots = ("\n\n".join(texts[shared:]) for texts in (prompts, row.answer_a, row.answer_b))
        chats.append([*chat, {"role": "user", "content": SEED_TEMPLATE.fill(*slots)}])
        if row.system and not shared and "System role" not in tokenizer.chat_template:
            assert chat == [{"role": "system", "content": row.system}]
    assert [row.ids.tolist() for row in encoded] == apply(tokenizer, chats)


@pytest.mark.parametrize("head", ["pointwise", "pairwise"])
def test_smuggled_markers_are_plain_text(
    tokenizer: PreTrainedTokenizerFast, head: Literal["pairwise", "pointwise"]
) -> None:
    marks = "".join([*MARKERS, "<s></s><bos><eos>"])
    plain = Comparison(("s\n\nx", "x"), ("y", "y"), ("y", "z"), system="s")
    attack = Comparison((f"s{marks}\n\n{marks}", marks), (marks, f"y{marks}"), (marks, marks), system=f"s{marks}")
    pair = [plain, attack] if head == "pairwise" else [row.conversations[1] for row in (plain, attack)]
    encoder = encoder_of(tokenizer, head)
    markers = resolve_template(CHAT, head, tokenizer).markers
    tokens = tokenizer.added_tokens_decoder.items()
    control = [i for i, token in tokens if token.special or token.content in markers]
    control.remove(tokenizer.unk_token_id)
    ids = [[i for i in row.ids.tolist() if i in control] for row in encoder.encode(pair)]
    assert ids[0] == ids[1]
    assert len(ids[0]) >= 2


def test_the_oldest_turns_are_dropped_and_the_system_message_stays(tokenizer: PreTrainedTokenizerFast) -> None:
    row = Conversation(
        ("Be kind.\n\n" + "one " * 100, "why " * 40, "is it"), ("yes " * 100, "no " * 30, "so"), "Be kind."
    )
    short = encoder_of(tokenizer, "pointwise", 250)
    [cut] = short.encode([row])
    assert cut.ids.size <= 250
    assert cut.turns_dropped >= 1
    assert cut.tokens_lost > 0
    text = short.text(row)
    assert cut.ids.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "Be kind." in text
    assert "[...]\n\n" in text
    assert "one one" not in text


def test_a_long_system_message_gives_way(tokenizer: PreTrainedTokenizerFast) -> None:
    system = "kind " * 400
    for first in (f"{system}\n\none", f"{system}\n\n" + "one " * 50):
        for side in (Conversation((first,), ("two",), system), Conversation((first, "x"), ("two", "y"), system)):
            [cut] = encoder_of(tokenizer, "pointwise", 200).encode([side])
            assert cut.ids.size <= 200


def test_the_date_is_fixed_and_remembered(tmp_path: Path) -> None:
    tokenizer = build("llama 3")
    encoder = encoder_of(tokenizer, "pointwise")
    row = Conversation(("a",), ("b",))
    assert "Today Date: 28 Nov 2026\n" in encoder.text(row)
    tokenizer.save_pretrained(tmp_path)
    later: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    again: Any = resolve_template(CHAT, "pointwise", later, today=date(2030, 1, 1))
    assert Encoder(later, again, 200).text(row) == encoder.text(row)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "text.template is chat, but the base model's tokenizer has no chat template"),
        ("{{ raise_exception('no') }}", "does not render two turns"),
        ("{{ messages[0]['content'] }}", "does not render two turns"),
        ("{{ strftime_now(bos_token) }}", "computes the format of today's date"),
    ],
)
def test_templates_that_cannot_do_it_are_refused(source: str | None, message: str) -> None:
    tokenizer = build("zephyr")
    tokenizer.chat_template = source
    with pytest.raises(RecipeError, match=message) as refusal:
        resolve_template(CHAT, "pairwise", tokenizer)
    assert "Write a template with slots, or leave text.template out." in str(refusal.value)


def test_a_template_that_repeats_the_system_message_renders_it_itself() -> None:
    tokenizer = build("zephyr")
    system = "{% if messages[0]['role'] == 'system' %}Rules: {{ messages[0]['content'] }}\n{% endif %}"
    tokenizer.chat_template = f"{system}{tokenizer.chat_template}"
    encoder = encoder_of(tokenizer, "pointwise")
    text = encoder.text(Conversation(("Be brief.\n\nwhy",), ("so",), "Be brief."))
    assert text.startswith("Rules: Be brief.\n")
    assert text.count("Be brief.") == 2


def test_rendered_texts_are_refused_and_ids_are_read_as_they_are() -> None:
    tokenizer = build("phi 3")
    encoder = encoder_of(tokenizer, "pointwise")
    [row] = encoder.encode([Conversation(("why",), ("so",))])
    assert encoder.encode_rendered([row.ids.tolist()])[0].ids.tolist() == row.ids.tolist()
    with pytest.raises(ValueError, match="give messages, or the token ids"):
        encoder.encode_rendered([encoder.text(Conversation(("why",), ("so",)))])
    assert encoder.template == ""
