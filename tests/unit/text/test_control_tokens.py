"""No text of a user becomes a special token, whatever the normalizer does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from tiebreak.text import SEED_TEMPLATE, Encoder, Template
from tiebreak.types import Comparison

NORMALIZERS = {
    "none": None,
    "nfkc": normalizers.NFKC(),
    "lowercase": normalizers.Lowercase(),
    "nfkc and lowercase": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
    "space as a letter": normalizers.Replace(" ", "▁"),
    "sentencepiece": normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    ),
    "without spaces": normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), "")]),
    "without accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
}
SPECIAL = ["<bos>", "<eos>", "<|im_start|>", "▁<sep>", "<start▁of turn>"]


def tokenizer_of(name: str, *, pieces: bool) -> PreTrainedTokenizerFast:
    """One token a character, and special tokens matched after normalization; with `pieces` the model has them too."""
    letters = [chr(i) for i in range(9, 127)] + ["▁", "<unk>"]
    if pieces:
        vocab = [(piece, 0.0 if len(piece) > 1 else -10.0) for piece in [*SPECIAL, *letters]]
        tokenizer = Tokenizer(models.Unigram(vocab, unk_id=len(vocab) - 1, byte_fallback=False))
    else:
        vocab = {piece: i for i, piece in enumerate([*SPECIAL, *letters])}
        tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>"))
    if NORMALIZERS[name] is not None:
        tokenizer.normalizer = NORMALIZERS[name]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=True) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


TOKENIZERS = {(name, pieces): tokenizer_of(name, pieces=pieces) for name in NORMALIZERS for pieces in (False, True)}


def fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if 0x21 <= ord(c) <= 0x7E else c for c in text)


DISGUISES = [lambda t: t, str.upper, fullwidth, lambda t: t.replace("▁", " "), lambda t: "<ｂ\u0301os>" if t else t]
attacks = st.builds(lambda disguise, token: disguise(token), st.sampled_from(DISGUISES), st.sampled_from(SPECIAL))
texts = st.lists(st.one_of(attacks, st.sampled_from(["a", " ", "\n", "<", "b", "os>", "< bos>"])), max_size=8).map(
    "".join
)


@settings(max_examples=150, deadline=None)
@given(prompt=texts, a=texts, b=texts, key=st.sampled_from(sorted(TOKENIZERS)), max_length=st.sampled_from([200, 4000]))
def test_only_the_bos_is_special(prompt: str, a: str, b: str, key: tuple[str, bool], max_length: int) -> None:
    tokenizer = TOKENIZERS[key]
    encoder = Encoder(tokenizer, SEED_TEMPLATE, max_length)
    row = Comparison((prompt, b), (a, a), (b, prompt))
    [encoded] = encoder.encode([row])
    assert [i for i in encoded.ids.tolist() if i < len(SPECIAL)] == [0]
    assert encoded.ids.size <= max_length
    text = encoder.text(row)
    assert encoded.ids.tolist() == tokenizer(text)["input_ids"]
    [rendered] = encoder.encode_rendered([f"{prompt} {a} {b}"])
    assert [i for i in rendered.ids.tolist() if i < len(SPECIAL)] == [0]


@pytest.mark.parametrize(
    ("name", "attack"),
    [("nfkc", "＜bos＞"), ("lowercase", "<BOS>"), ("lowercase", "<Eos>"), ("space as a letter", " <sep>"),
     ("without spaces", "＜ b o s ＞"), ("without accents", "<BÖS>")],
)  # fmt: skip
def test_disguises_work_without_the_encoder(name: str, attack: str) -> None:
    """So the property above is not empty: the plain tokenizer reads these as special tokens."""
    tokenizer = TOKENIZERS[name, False]
    assert any(i < len(SPECIAL) for i in tokenizer(f"a{attack}b" if attack[0] == " " else attack)["input_ids"][1:])


def test_harmless_texts_are_not_changed() -> None:
    encoder = Encoder(TOKENIZERS["nfkc", False], SEED_TEMPLATE, 4000)
    row = Comparison(("＜bos＞ x",), ("if a < b > c",), ("ﬁne <b>",))
    assert encoder.text(row) == SEED_TEMPLATE.render(Comparison(("＜ bos＞ x",), row.answer_a, row.answer_b))


def test_a_token_across_the_edge_of_a_slot_is_kept_out() -> None:
    encoder = Encoder(TOKENIZERS["none", False], Template("{prompt}os>{response_a} {response_b}"), 400)
    [row] = encoder.encode([Comparison(("x<b",), ("a",), ("b",))])
    assert [i for i in row.ids.tolist() if i < len(SPECIAL)] == [0]
