"""The nano model's tokenizer: one token a known word or number, bytes for everything else.

Text is cut into words, numbers, single punctuation marks and line breaks; a space belongs to what follows it, as
in Gemma's own tokenizer, so decoding gives back the text exactly. A piece in the vocabulary is one token, any other
is spelt out in UTF-8 bytes.
"""

from __future__ import annotations

from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, EOS, BOS = "<pad>", "<eos>", "<bos>"
PAD_ID: Final = 0

LARGEST_NUMBER: Final = 99
"""Numbers from 0 up to this one are single tokens."""

_WORDS: Final = """
Prompt Question User Assistant Response Response_a Response_b Response_c Answer Answers A B C First Second Third
answer answers
What How Which Is Are Who many much plus is are makes make equals of the The It That This You get I think it believe
sum all one two three four five six seven eight nine ten zero none both these those and or not than larger smaller
better worse best good bad right wrong correct incorrect yes no Yes No true false a b tie Model model
"""
_MARKS: Final = "+-*/=?!.,:;()'\""
_PIECES: Final = ("\n\n", " \n\n", "\n\n\n", "--------")
_SPLIT: Final = r"\s*[\r\n]+| ?-{2,}| ?[\p{L}\p{M}_]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}_]|\s+(?!\S)|\s"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, which puts `<bos>` in front of every text as Gemma's does."""
    split = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    spelling = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary = {token: index for index, token in enumerate(_tokens(spelling))}
    # No merges: a whole piece is looked up first (`ignore_merges`), and what is not found falls apart into bytes.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, spelling])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, vocabulary[BOS])]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (PAD, EOS, BOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        bos_token=BOS,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def _tokens(spelling: pre_tokenizers.ByteLevel) -> list[str]:
    """Every token in the order of its id: special tokens, bytes, then the known pieces with and without a space."""
    pieces = [*map(str, range(LARGEST_NUMBER + 1)), *_WORDS.split(), *_MARKS]
    spelt = ["".join(part for part, _ in spelling.pre_tokenize_str(piece)) for piece in (*pieces, *_PIECES)]
    spaced = ["".join(part for part, _ in spelling.pre_tokenize_str(f" {piece}")) for piece in pieces]
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    return list(dict.fromkeys([PAD, EOS, BOS, *bytes_, *spelt, *spaced]))
