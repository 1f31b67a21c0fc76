"""Small tokenizers with the conventions that matter, and the real Gemma tokenizer if it is in the shared folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

GEMMA = Path(__file__).parents[4] / "shared" / "tokenizer"
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>"]
CORPUS = [
    "Prompt: what is one and one \n\nResponse_a: one and one is two\n\nResponse_b: it is three, I think",
    "User: why is the sky blue\n\nAssistant: the sky is blue because of the way air scatters light",
    "Which one is better ? the first answer is longer, the second answer is right -------- [...]",
]


def leading(token: str, tokenizer: Tokenizer) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single=f"{token} $A", special_tokens=[(token, tokenizer.token_to_id(token))])


@pytest.fixture(scope="session")
def gemma_like() -> PreTrainedTokenizerFast:
    """BPE with spaces as a letter, byte fallback and a leading BOS, like Gemma and Llama."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = leading("<bos>", tokenizer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


@pytest.fixture(scope="session")
def qwen_like() -> PreTrainedTokenizerFast:
    """Byte-level BPE with a BOS that it never adds, like Qwen2 and GPT-2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|end|>", "<|im_start|>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|end|>", eos_token="<|end|>")


@pytest.fixture(scope="session")
def words() -> PreTrainedTokenizerFast:
    """One token per word or run of punctuation, so that counts can be computed by hand, and a leading BOS."""
    vocab = [*SPECIAL, "[...]", "Prompt", ":", "Response_a", "Response_b", "--------", "Which", "one", "is", "better"]
    vocab += ["?", "User", "Assistant", *(f"{letter}{i}" for letter in "pab" for i in range(100))]
    model = models.WordLevel({word: index for index, word in enumerate(vocab)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = leading("<bos>", tokenizer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", unk_token="<unk>")


@pytest.fixture(scope="session")
def gemma() -> PreTrainedTokenizerFast:
    if not (GEMMA / "tokenizer.json").is_file():
        pytest.skip("no Gemma tokenizer beside the checkout")
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(GEMMA)
    return tokenizer
