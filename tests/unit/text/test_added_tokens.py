"""Special tokens in front of texts and behind them: the same in encoding, packing and an exported tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tiebreak.text import REWARD_TEMPLATE, SEED_TEMPLATE, AddedTokens, Encoder, pack, set_added_tokens
from tiebreak.types import Comparison, Conversation

from .cases import said

NAMES = ["<pad>", "<bos>", "<eos>", "<unk>", "[gMASK]", "<sop>"]
CASES = {
    "$A": ((), ()),
    "<bos> $A": ((1,), ()),
    "<bos> $A <eos>": ((1,), (2,)),
    "[gMASK] <sop> $A": ((4, 5), ()),
    "$A <eos>": ((), (2,)),
    "[gMASK] <sop> $A <eos> <eos>": ((4, 5), (2, 2)),
}


def tokenizer_of(single: str) -> PreTrainedTokenizerFast:
    """One token per word or run of punctuation."""
    words = ["Prompt", ":", "Response_a", "Response_b", "Response", "--------", "Which", "one", "is", "better", "?"]
    vocab = [*NAMES, *words, *(f"{letter}{i}" for letter in "pab" for i in range(100))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocab)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(NAMES)
    names = [name for name in single.split() if name != "$A"]
    special = [(name, NAMES.index(name)) for name in dict.fromkeys(names)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token="<pad>"
    )


ROW = Comparison(("p1 p2",), ("a1",), ("b1 b2",))


@pytest.mark.parametrize("single", CASES)
def test_encoding_equals_calling_the_tokenizer(single: str) -> None:
    tokenizer = tokenizer_of(single)
    prefix, suffix = CASES[single]
    assert AddedTokens.of(tokenizer) == AddedTokens(prefix, suffix)
    encoder = Encoder(tokenizer, SEED_TEMPLATE, 200)
    [row] = encoder.encode([ROW])
    assert row.ids.tolist() == tokenizer(encoder.text(ROW))["input_ids"]
    assert (tuple(row.ids[: len(prefix)]), tuple(row.ids[row.ids.size - len(suffix) :])) == (prefix, suffix)


@pytest.mark.parametrize("single", CASES)
def test_the_budget_holds_the_added_tokens(single: str) -> None:
    tokenizer = tokenizer_of(single)
    encoder = Encoder(tokenizer, SEED_TEMPLATE, 64)
    [row] = encoder.encode([Comparison((said("p", 9),), (said("a", 90),), (said("b", 80),))])
    assert 60 <= row.ids.size <= 64
    prefix, suffix = CASES[single]
    assert (tuple(row.ids[: len(prefix)]), tuple(row.ids[row.ids.size - len(suffix) :])) == (prefix, suffix)


@pytest.mark.parametrize("single", CASES)
def test_rendered_inputs_get_them_once(single: str) -> None:
    tokenizer = tokenizer_of(single)
    encoder = Encoder(tokenizer, SEED_TEMPLATE, 200)
    text = encoder.text(ROW)
    ids = tokenizer(text)["input_ids"]
    before, after = AddedTokens.of(tokenizer).text(tokenizer)
    prefix, suffix = (list(added) for added in CASES[single])
    for given in (text, f"{before}{text}{after}", before * 2 + text + after * 2, ids, prefix + ids + suffix):
        assert encoder.encode_rendered([given])[0].ids.tolist() == ids


def test_a_shared_prompt_is_stored_once_and_the_suffix_behind_each_answer() -> None:
    encoder = Encoder(tokenizer_of("[gMASK] <sop> $A <eos>"), REWARD_TEMPLATE, 200)
    sides = [row.ids for row in encoder.encode([Conversation(("p1 p2",), (answer,)) for answer in ("a1", "b1 b2")])]
    [both] = pack(sides, tokens_per_pass=200, groups=[0, 0])
    assert both.input_ids[both.pooled].tolist() == [2, 2]  # <eos>, the last token that is not padding
    assert (both.input_ids == 4).sum() == 1
    assert both.input_ids.size < sum(map(len, sides))


@pytest.mark.parametrize("single", CASES)
def test_old_runs_have_a_bos_at_most(single: str) -> None:
    tokenizer = tokenizer_of(single)
    [row] = Encoder(tokenizer, SEED_TEMPLATE, 200, AddedTokens.bos_only(tokenizer)).encode([ROW])
    plain = tokenizer(SEED_TEMPLATE.render(ROW), add_special_tokens=False)["input_ids"]
    assert row.ids.tolist() == ([1] if single.startswith("<bos>") else []) + plain


@pytest.mark.parametrize("single", CASES)
def test_an_exported_tokenizer_adds_what_an_old_run_read(single: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of("<bos> $A <eos>")
    prefix, suffix = CASES[single]
    set_added_tokens(tokenizer, AddedTokens(prefix, suffix))
    tokenizer.save_pretrained(tmp_path)
    for exported in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert exported("p1 a1")["input_ids"] == [*prefix, *tokenizer.convert_tokens_to_ids(["p1", "a1"]), *suffix]
