"""A tiny GGUF file, written with llama.cpp's own writer, as a base model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiebreak.errors import ModelError
from tiebreak.models import check_base, load_base, load_tokenizer
from tiebreak.models import gguf as gguf_files

gguf = pytest.importorskip("gguf")

WORDS = ("hello world", "votes of people", "which answer is better", "tiebreak judges answers", "longer prompts")
NAMES = {
    "embed_tokens.weight": "token_embd.weight",
    "norm.weight": "output_norm.weight",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tiebreak" / "gguf"


def tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer whose vocabulary has the words above."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"])
    tokenizer.train_from_iterator(WORDS * 3, trainer)
    return tokenizer


def tiny_model(vocabulary: int) -> Any:
    from transformers import Qwen2Config, Qwen2Model

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    return Qwen2Model(config)


def write_gguf(path: Path, model: Any, tokenizer: Any, kind: str) -> None:
    config, content = model.config, json.loads(tokenizer.to_str())["model"]
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(sorted(content["vocab"], key=content["vocab"].get))
    writer.add_token_types([3, *[1] * (config.vocab_size - 1)])
    writer.add_token_merges([" ".join(merge) for merge in content["merges"]])
    writer.add_eos_token_id(0)
    for name, tensor in model.state_dict().items():
        _, number, inner = name.split(".", 2) if name.startswith("layers.") else ("", "", name)
        stem = NAMES.get(inner) or NAMES[inner.rpartition(".")[0]] + "." + inner.rpartition(".")[2]
        gguf_name = f"blk.{number}.{stem}" if number else stem
        array = tensor.float().numpy()
        if array.ndim == 1 or kind == "F32":
            writer.add_tensor(gguf_name, array)
        else:
            quantization = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(gguf_name, gguf.quants.quantize(array, quantization), raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def stored(tensor: torch.Tensor, kind: str) -> torch.Tensor:
    """What a file of this kind keeps of a weight, in the type that it is converted to."""
    if kind == "F32" or tensor.ndim == 1:
        return tensor if kind == "F32" else tensor.to(torch.float16 if kind == "F16" else torch.bfloat16).float()
    quantization = gguf.GGMLQuantizationType[kind]
    values = gguf.quants.dequantize(gguf.quants.quantize(tensor.numpy(), quantization), quantization)
    return torch.tensor(values).to(torch.float16 if kind == "F16" else torch.bfloat16).float()


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
def test_the_weights_of_a_gguf_file_are_loaded_in_the_recipes_precision(tmp_path: Path, kind: str) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer.get_vocab_size())
    path = tmp_path / f"tiny.{kind}.gguf"
    write_gguf(path, model, tokenizer, kind)
    check_base(str(path), None, precision="fp32", max_length=100)
    loaded = load_base(str(path), precision="fp32", device=torch.device("cpu"))
    weights = {name.removeprefix("model."): tensor for name, tensor in loaded.state_dict().items()}
    for name, tensor in model.state_dict().items():
        assert weights[name].dtype == torch.float32
        assert torch.equal(weights[name], stored(tensor, kind)), name
    text = "hello people, which answer is better?"
    assert load_tokenizer(str(path))(text)["input_ids"] == tokenizer.encode(text).ids


def test_a_gguf_file_is_converted_once_and_again_after_it_changed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tiny_tokenizer()
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny_model(tokenizer.get_vocab_size()), tokenizer, "F32")
    converted = []
    write = gguf_files._write_weights
    monkeypatch.setattr(
        gguf_files, "_write_weights", lambda file, folder: converted.append(file) or write(file, folder)
    )
    first = gguf_files.converted_weights(str(path))
    assert gguf_files.converted_weights(str(path)) == first
    assert converted == [path]
    write_gguf(path, tiny_model(tokenizer.get_vocab_size()), tokenizer, "F16")
    assert gguf_files.converted_weights(str(path)) != first
    assert {folder.name.rpartition("-")[0] for folder in cache.iterdir()} == {"tiny"}


def test_a_tokenizer_that_splits_the_words_of_its_vocabulary_is_refused(tmp_path: Path, cache: Path) -> None:
    """As transformers 5.17 does with Gemma 3: it encoded 14 of 1,000 words as the token that they are."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer.get_vocab_size())
    without_merges = json.loads(tokenizer.to_str())
    without_merges["model"]["merges"] = without_merges["model"]["merges"][:1]
    path = tmp_path / "tiny.gguf"
    write_gguf(path, model, type(tokenizer).from_str(json.dumps(without_merges)), "F32")
    with pytest.raises(ModelError, match=r"makes a wrong tokenizer from .*tiny\.gguf: it encodes \d+ of \d+ words"):
        check_base(str(path), None, precision="fp32", max_length=100)
    assert not list(cache.rglob("config.json"))


def test_gguf_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    part = tmp_path / "model-00001-of-00003.gguf"
    part.write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="is one part of a GGUF file"):
        check_base(str(part), None, precision="fp32", max_length=100)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + np.zeros(8, np.uint8).tobytes())
    with pytest.raises(ModelError, match=r"broken\.gguf cannot be loaded"):
        check_base(str(broken), None, precision="fp32", max_length=100)
    with pytest.raises(ModelError, match="There is no folder"):
        check_base(str(tmp_path / "absent.gguf"), None, precision="fp32", max_length=100)
