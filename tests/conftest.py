"""Fixtures every test may use: a tiny base checkpoint on the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# Without a GPU the kernels run in Triton's interpreter; Triton looks when it is first imported.
if shutil.which("nvidia-smi") is None:
    os.environ["TRITON_INTERPRET"] = "1"

# Tests run side by side, one a core: threads inside them, and in the processes they start, would only wait for each
# other. To be set before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

# No test looks at the clock: on a busy machine an example may take any time.
settings.register_profile("tiebreak", deadline=None)
settings.load_profile("tiebreak")

WORDS = (
    "Prompt : Response_a Response_b Which one is better ? - a b good bad plain answer question + = "
    "0 1 2 3 4 5 6 7 8 9 10"
)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Gemma 2 of 20 thousand weights and a word tokenizer that adds BOS."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base") / "tiny-gemma2"
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<bos>", "<unk>", *dict.fromkeys(WORDS.split())])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<bos>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=16, pad_token_id=0, bos_token_id=1,
        eos_token_id=1, max_position_embeddings=512,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(folder)
    return folder
