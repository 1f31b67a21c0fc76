"""A tokenizer's chat template renders what the judge reads, to the last token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.unit.text.cases import comparisons
from tiebreak import Comparison, Conversation
from tiebreak.export.chat_template import chat_template, install_chat_template
from tiebreak.export.write import _choose_pad_token
from tiebreak.models import JudgeCard, RewardScale, card_encoder, load_tokenizer
from tiebreak.text import REWARD_TEMPLATE, SEED_TEMPLATE, AddedTokens, AnswerTemplate, Template

GEMMA = Path(__file__).parents[4] / "shared" / "tokenizer"
LONG = 4096
ODD = "{{ {% \\n'\"\\ {prompt}\r\n #} {# %}\U0001f600 é"
"""What Jinja would read otherwise, around a slot."""


def messages_of(row: Comparison | Conversation) -> list[dict[str, str]]:
    """One side as a chat; of a comparison the history that both share, and two last answers."""
    answers = row.answer if isinstance(row, Conversation) else row.answer_a
    history = zip(row.prompt[:-1], answers[:-1], strict=True)
    chat = [m for said in history for m in zip(("user", "assistant"), said, strict=True)]
    chat.append(("user", row.prompt[-1]))
    if isinstance(row, Conversation):
        chat.append(("assistant", row.answer[-1]))
    else:
        chat += [("response_a", row.answer_a[-1]), ("response_b", row.answer_b[-1])]
    return [{"role": role, "content": content} for role, content in chat]


def card_of(tokenizer: PreTrainedTokenizerFast, template: Template | AnswerTemplate | str) -> JudgeCard:
    """A run's card; `template` may be "chat" for a pointwise judge."""
    pairwise = isinstance(template, Template)
    return JudgeCard(
        base_model="base",
        revision=None,
        head="pairwise" if pairwise else "pointwise",
        precision="fp32",
        compute_dtype="float32",
        template=template if isinstance(template, str) else template.text,
        max_length=LONG,
        tokens_per_pass=LONG,
        added_tokens=AddedTokens.of(tokenizer),
        rewards=None if pairwise else RewardScale(tie_model="davidson", tie_parameter=0.0, mean=0.0, deviation=1.0),
    )


def harmless(row: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Without special tokens, which the encoder alone takes care of."""

    def clean(text: str) -> str:
        for token in (*tokenizer.all_special_tokens, "<b", "os>", "<|", "<start_of_turn>"):
            text = text.replace(token, "x")
        return text

    return row.map_texts(clean)


@pytest.fixture(scope="module", params=["nano", "gemma", "no BOS"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    if request.param == "nano":
        return load_tokenizer("nano")
    if request.param == "gemma":
        if not (GEMMA / "tokenizer.json").is_file():
            pytest.skip("no Gemma tokenizer beside the checkout")
        return PreTrainedTokenizerFast.from_pretrained(GEMMA)
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = {letter: i for i, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    plain.model = models.BPE(alphabet, [])
    return PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<|end|>", eos_token="<|end|>")


@settings(max_examples=60, deadline=None)
@given(row=comparisons())
def test_its_tokens_are_the_encoders(tokenizer: PreTrainedTokenizerFast, row: Comparison) -> None:
    row = harmless(row, tokenizer)
    shared = Comparison(row.prompt, row.answer_a, (*row.answer_a[:-1], row.answer_b[-1]))
    rows: list[tuple[Template | AnswerTemplate, Any]] = [
        (SEED_TEMPLATE, shared),
        (REWARD_TEMPLATE, row.conversations[0]),
    ]
    for template, said in rows:
        card = card_of(tokenizer, template)
        assert install_chat_template(tokenizer, card)
        ids = tokenizer.apply_chat_template(messages_of(said), tokenize=True, return_dict=False)
        assert ids == card_encoder(card, tokenizer).encode([said])[0].ids.tolist()


@settings(max_examples=60, deadline=None)
@given(row=comparisons(), pieces=st.lists(st.sampled_from([ODD.replace("{prompt}", ""), "{{", "}}", "'", "\n", "a\\"])))
def test_any_template_says_the_same(row: Comparison, pieces: list[str]) -> None:
    tokenizer = load_tokenizer("nano")
    side, around = row.conversations[1], "".join(pieces)
    for slots in ("{prompt}%s{response}", "{response}%s{prompt}"):
        template = AnswerTemplate(f"{around}{slots % around}{around}{{response_a}}")
        tokenizer.chat_template = chat_template(template)
        assert tokenizer.apply_chat_template(messages_of(side), tokenize=False) == template.render(side)
    pair = Template(f"{around}{{response_b}}{ODD}{{response_a}}{{response}}{around}")
    last = Comparison(row.prompt[-1:], row.answer_a[-1:], row.answer_b[-1:])
    tokenizer.chat_template = chat_template(pair)
    assert tokenizer.apply_chat_template(messages_of(last), tokenize=False) == pair.render(last)


def test_a_system_message_goes_in_front_of_the_first_turn() -> None:
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = chat_template(REWARD_TEMPLATE)
    chat = messages_of(Conversation(("p", "q"), ("a", "b")))
    for system, first in (("Be kind.", "Be kind.\n\np"), ("", "p")):
        said = tokenizer.apply_chat_template([{"role": "system", "content": system}, *chat], tokenize=False)
        assert said == REWARD_TEMPLATE.render(Conversation((first, "q"), ("a", "b")))


@pytest.mark.parametrize(
    "roles",
    [
        "user",
        "user user assistant",
        "assistant",
        "user assistant user",
        "user response_a response_b",
        "system assistant",
    ],
)
def test_roles_that_make_no_turns_are_refused(roles: str) -> None:
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = chat_template(REWARD_TEMPLATE)
    with pytest.raises(TemplateError, match=r"The roles must be user, \(assistant, user\)\*, assistant"):
        tokenizer.apply_chat_template([{"role": r, "content": "x"} for r in roles.split()], tokenize=False)


@pytest.mark.parametrize("roles", ["user assistant", "user response_b response_a", "user response_a"])
def test_the_answers_of_a_pair_are_named_in_order(roles: str) -> None:
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = chat_template(SEED_TEMPLATE)
    with pytest.raises(TemplateError):
        tokenizer.apply_chat_template([{"role": r, "content": "x"} for r in roles.split()], tokenize=False)


def word_tokenizer(*, prefix_space: bool, **special: str) -> PreTrainedTokenizerFast:
    """One token a word, BOS in front; the first word of a text may be another token than within it, as in Llama 2."""
    names = ["<s>", "</s>", "<unk>", *REWARD_TEMPLATE.text.split(), "a", "b"]
    vocabulary = {word: i for i, word in enumerate([*names, *(f"▁{name}" for name in names), "▁"])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = (
        pre_tokenizers.Metaspace(prepend_scheme="first") if prefix_space else pre_tokenizers.WhitespaceSplit()
    )
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<unk>", **special)


def test_a_tokenizer_that_would_read_it_otherwise_gets_none() -> None:
    for prefix_space, fits in ((False, True), (True, False)):
        tokenizer = word_tokenizer(prefix_space=prefix_space)
        assert install_chat_template(tokenizer, card_of(tokenizer, REWARD_TEMPLATE)) is fits
        assert (tokenizer.chat_template is not None) is fits


@pytest.mark.parametrize(
    ("special", "template", "wanted"),
    [
        ({"pad_token": "<unk>", "eos_token": "</s>"}, "{prompt} {response} ?", "<unk>"),
        ({"eos_token": "</s>"}, "{prompt} {response} ?", "</s>"),
        ({"eos_token": "</s>"}, "{prompt} {response} </s>", "<s>"),  # or the text's end would be taken for padding
    ],
)
def test_what_pads_is_no_token_that_texts_end_in(special: dict[str, str], template: str, wanted: str) -> None:
    tokenizer = word_tokenizer(prefix_space=False, **special)
    _choose_pad_token(tokenizer, card_of(tokenizer, AnswerTemplate(template)))
    assert tokenizer.pad_token == wanted


def test_line_ends_are_those_that_the_judge_reads() -> None:
    tokenizer = load_tokenizer("nano")
    raw = ("a\r\nb", "c\rd", "e\r", "\r\n")
    unix = ("a\nb", "c\nd", "e\n", "\n")
    for template in (REWARD_TEMPLATE, SEED_TEMPLATE):
        answers = ["assistant"] if template is REWARD_TEMPLATE else ["response_a", "response_b"]
        roles = ["system", "user", *answers]
        tokenizer.chat_template = chat_template(template)
        rendered = [
            tokenizer.apply_chat_template(
                [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)], tokenize=False
            )
            for texts in (raw, unix)
        ]
        assert rendered[0] == rendered[1]
        assert "\r" not in rendered[0]
