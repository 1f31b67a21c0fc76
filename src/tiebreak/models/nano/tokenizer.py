"""The nano model's tokenizer: one token per word or number in the vocabulary, bytes for everything else.

Text is cut into words, numbers, single punctuation marks and line breaks; a space belongs to the piece
after it, as in Gemma's tokenizer, so decoding restores the text exactly. A piece in the vocabulary is one token; any
other piece is encoded as UTF-8 bytes.
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
    """Build the tokenizer; it adds `<bos>` before every text, as Gemma's does."""
    split = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary = {token: index for index, token in enumerate(_tokens(byte_level))}
    # No merges: a piece is looked up as a whole (`ignore_merges`), and encoded as bytes if it is not in the vocabulary.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
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


def _tokens(byte_level: pre_tokenizers.ByteLevel) -> list[str]:
    """All tokens in the order of their ids: special tokens, bytes, pieces without and with a leading space."""
    pieces = [*map(str, range(LARGEST_NUMBER + 1)), *_WORDS.split(), *_MARKS]
    unspaced = ["".join(part for part, _ in byte_level.pre_tokenize_str(piece)) for piece in (*pieces, *_PIECES)]
    spaced = ["".join(part for part, _ in byte_level.pre_tokenize_str(f" {piece}")) for piece in pieces]
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    return list(dict.fromkeys([PAD, EOS, BOS, *bytes_, *unspaced, *spaced]))
