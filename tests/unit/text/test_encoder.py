from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tiebreak.errors import RecipeError
from tiebreak.text import REWARD_TEMPLATE, SEED_TEMPLATE, Encoded, Encoder, Template, TruncationReport
from tiebreak.types import Comparison, Conversation

from .cases import comparisons, said, texts

SEED = Comparison(("1 + 1 = ?",), ("2",), ("3",))


def special_ids(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    return {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}


@settings(max_examples=50, deadline=None)
@given(st.lists(comparisons(), max_size=4), st.integers(150, 400), st.sampled_from(["gemma_like", "qwen_like"]))
def test_tokenising_the_text_gives_the_encoded_ids(
    request: pytest.FixtureRequest, rows: list[Comparison], max_length: int, name: str
) -> None:
    tokenizer: PreTrainedTokenizerFast = request.getfixturevalue(name)
    encoder, uncut = (Encoder(tokenizer, SEED_TEMPLATE, length) for length in (max_length, 10**6))
    leads = name == "gemma_like"
    for row, encoded in zip(rows, encoder.encode(rows), strict=True):
        text = encoder.text(row)
        assert encoded.ids.dtype == np.int32
        assert encoded.ids.tolist() == tokenizer(text)["input_ids"]
        assert encoded.ids.size <= max_length
        assert [i for i in encoded.ids.tolist() if i in special_ids(tokenizer)] == [tokenizer.bos_token_id] * leads
        whole = uncut.text(row)
        assert encoded.tokens_lost == len(tokenizer(whole)["input_ids"]) - encoded.ids.size
        assert (encoded.tokens_lost == 0) or text != whole


@settings(max_examples=50, deadline=None)
@given(comparisons())
def test_encoding_commutes_with_swapping(gemma_like: PreTrainedTokenizerFast, comparison: Comparison) -> None:
    swapped_template = Template(
        SEED_TEMPLATE.text.replace("{response_a}", "{_}")
        .replace("{response_b}", "{response_a}")
        .replace("{_}", "{response_b}")
    )
    assert Encoder(gemma_like, SEED_TEMPLATE, 200).text(comparison.swap()) == Encoder(
        gemma_like, swapped_template, 200
    ).text(comparison)


def test_a_bos_is_added_only_by_convention(
    gemma_like: PreTrainedTokenizerFast, qwen_like: PreTrainedTokenizerFast
) -> None:
    [row] = Encoder(gemma_like, SEED_TEMPLATE, 200).encode([SEED])
    assert row.ids[0] == gemma_like.bos_token_id == 2
    assert (row.ids == 2).sum() == 1
    assert qwen_like.bos_token_id == 0  # it has one, and does not use it
    [row] = Encoder(qwen_like, SEED_TEMPLATE, 200).encode([SEED])
    assert (row.ids == 0).sum() == 0


def test_spelled_special_tokens_are_broken_by_a_space(gemma_like: PreTrainedTokenizerFast) -> None:
    row = Comparison(("<bos>hi<bos>",), ("<<eos>eos>",), ("<start_of_turn>\ud83d<b>",))
    encoder = Encoder(gemma_like, Template("<pad>{prompt}|{response_a}|{response_b}"), 200)
    assert encoder.text(row) == "<pad>< bos>hi< bos>|<< eos>eos>|< start_of_turn>\ufffd<b>"
    [encoded] = encoder.encode([row])
    # Templates may contain special tokens, texts may not.
    assert [i for i in encoded.ids.tolist() if i in special_ids(gemma_like)] == [2, 0]


def test_a_template_that_contains_the_added_bos_is_refused(gemma_like: PreTrainedTokenizerFast) -> None:
    with pytest.raises(RecipeError, match="it contains <bos>, which is added"):
        Encoder(gemma_like, Template("<bos>{prompt}{response_a}{response_b}"), 200)


def test_no_rows_give_no_rows(words: PreTrainedTokenizerFast) -> None:
    assert Encoder(words, SEED_TEMPLATE, 100).encode([]) == []


def test_a_row_that_fits_in_one_order_only_is_cut_in_both(gemma_like: PreTrainedTokenizerFast) -> None:
    # Only behind "b:" do the spaces merge: the seams, not the texts, make one order longer.
    template = Template("{response_a}e{response_b} {prompt}")
    row = Comparison((said("p", 30),), ("the sky th",), (said("b", 30),))
    lengths = [Encoder(gemma_like, template, 10**6).encode([c])[0].ids.size for c in (row, row.swap())]
    assert lengths[0] < lengths[1]
    encoder = Encoder(gemma_like, template, lengths[0])
    forth, back = encoder.encode([row, row.swap()])
    assert forth.ids.size <= lengths[0] >= back.ids.size
    assert "[...]" in encoder.text(row)
    assert "[...]" in encoder.text(row.swap())


def test_rows_are_the_same_in_batches_of_any_size(
    gemma_like: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Comparison((said("p", n),), (said("a", 5 * n % 23),), (said("b", n % 7),)) for n in range(1, 14)]
    rows += [row.swap() for row in rows]  # their texts are the same as those of the others while they are cut
    encoder = Encoder(gemma_like, SEED_TEMPLATE, 90)
    alone = [encoder.encode([row])[0] for row in rows]
    assert 0 < TruncationReport.of(alone).rows_cut < len(rows)
    for size in (2, 26, 512):
        monkeypatch.setattr("tiebreak.text.encoder.ROWS_PER_BATCH", size)
        monkeypatch.setattr("tiebreak.text.truncation.ROWS_PER_BATCH", size)
        done: list[int] = []
        together = encoder.encode(rows, on_progress=done.append)
        assert [row.ids.tolist() for row in together] == [row.ids.tolist() for row in alone]
        assert [row.tokens_lost for row in together] == [row.tokens_lost for row in alone]
        assert sum(done) == len(rows)
        assert len(done) == -(-len(rows) // size)


def test_truncation_and_padding_settings_of_the_tokenizer_are_ignored(gemma_like: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(gemma_like, SEED_TEMPLATE, 200)
    rows = [SEED, Comparison(("why is the sky blue",), ("air",), ("light",))]
    expected = [gemma_like(encoder.text(row))["input_ids"] for row in rows]
    gemma_like(["one", "two or more"], truncation=True, max_length=4, padding="max_length")
    assert gemma_like.backend_tokenizer.truncation is not None
    assert [row.ids.tolist() for row in encoder.encode(rows)] == expected
    assert [len(gemma_like(encoder.text(row))["input_ids"]) for row in rows] == list(map(len, expected))


def test_report_sums_what_was_cut(words: PreTrainedTokenizerFast) -> None:
    fits = Comparison((said("p", 5),), (said("a", 10),), (said("b", 10),))
    turns = Comparison(fits.prompt * 2, fits.answer_a * 2, fits.answer_b * 2)
    long = Comparison((said("p", 5),), (said("a", 99),), (said("b", 10),))
    encoded = Encoder(words, SEED_TEMPLATE, 13 + 40).encode([fits, turns, long])
    # `turns` loses a turn of 25 tokens for three marks, `long` 74 tokens.
    assert [row.tokens_lost for row in encoded] == [0, 22, 74]
    report = TruncationReport.of(encoded)
    assert report == TruncationReport(rows=3, rows_cut=2, tokens_lost=96, tokens_kept=38 + 41 + 53, turns_dropped=1)
    assert str(report) == ("2 of 3 comparisons cut (66.7%): 96 tokens lost (42.1%), 132 kept; turns dropped: 1")
    assert TruncationReport.of(list[Encoded]()).rows_cut == 0


class TestRealGemma:
    def test_the_seed(self, gemma: PreTrainedTokenizerFast) -> None:
        encoder = Encoder(gemma, SEED_TEMPLATE, 2048)
        [row] = encoder.encode([SEED])
        assert row.ids.tolist() == gemma(SEED_TEMPLATE.render(SEED))["input_ids"]
        assert row.ids[0] == 2
        assert row.ids.size == 33

    def test_special_tokens_break_and_plain_added_ones_do_not(self, gemma: PreTrainedTokenizerFast) -> None:
        row = Comparison(("<bos><eos><pad><mask><unk>",), ("<b>bold</b>\n\n\tx",), ("<table>",))
        encoder = Encoder(gemma, SEED_TEMPLATE, 2048)
        [encoded] = encoder.encode([row])
        ids = encoded.ids.tolist()
        assert [i for i in ids if i in special_ids(gemma)] == [2]
        assert {gemma.convert_tokens_to_ids(markup) for markup in ("<b>", "</b>", "<table>", "\n\n")} <= set(ids)
        assert ids == gemma(encoder.text(row))["input_ids"]

    @settings(max_examples=40, deadline=None)
    @given(comparisons(), st.integers(60, 200))
    def test_cuts(self, gemma: PreTrainedTokenizerFast, comparison: Comparison, max_length: int) -> None:
        encoder = Encoder(gemma, SEED_TEMPLATE, max_length)
        forth, back = encoder.encode([comparison, comparison.swap()])
        assert forth.ids.tolist() == gemma(encoder.text(comparison))["input_ids"]
        assert max(forth.ids.size, back.ids.size) <= max_length
        assert forth.turns_dropped == back.turns_dropped


def test_importing_the_text_layer_loads_neither_torch_nor_transformers() -> None:
    heavy = "print({'torch', 'transformers', 'tokenizers'} & set(sys.modules))"
    command = [sys.executable, "-c", f"import sys, tiebreak.text; {heavy}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@settings(max_examples=60, deadline=None)
@given(comparisons(), texts, st.integers(110, 220), st.sampled_from(["gemma_like", "qwen_like"]))
def test_the_encoding_of_an_answer_does_not_depend_on_the_other(
    request: pytest.FixtureRequest, comparison: Comparison, other: str, max_length: int, name: str
) -> None:
    """A side is cut separately, within its budget, and its text has its ids."""
    tokenizer: PreTrainedTokenizerFast = request.getfixturevalue(name)
    encoder = Encoder(tokenizer, REWARD_TEMPLATE, max_length)
    beside = replace(comparison, answer_b=tuple(other for _ in comparison.answer_b))
    (side, _), (again, _) = comparison.conversations, beside.conversations
    one, two, three = encoder.encode([side, again, beside.conversations[1]])
    assert one.ids.tolist() == two.ids.tolist()
    for row, spoken in ((one, side), (three, beside.conversations[1])):
        assert row.ids.size <= max_length
        assert row.ids.tolist() == tokenizer(encoder.text(spoken))["input_ids"]


def test_a_long_answer_alone_gets_all_that_the_prompt_leaves(words: PreTrainedTokenizerFast) -> None:
    around = words(REWARD_TEMPLATE.render(Conversation(("",), ("",))))["input_ids"]
    encoder = Encoder(words, REWARD_TEMPLATE, len(around) + 41)
    [row] = encoder.encode([Conversation((said("p", 10),), (said("a", 90),))])
    # 41 tokens of room: the prompt's 10, and 31 of the answer, its mark one of them.
    assert row.tokens_lost == 90 - 30 - 1
    assert encoder.text(Conversation((said("p", 10),), (said("a", 90),))) == REWARD_TEMPLATE.render(
        Conversation((said("p", 10),), (f"{said('a', 15)} [...] {' '.join(f'a{i}' for i in range(75, 90))}",))
    )
