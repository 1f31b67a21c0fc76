"""A GGUF file as a base model: converted once, by transformers' own reader, to folders in a cache.

transformers cannot quantize a GGUF file while it loads it, and reading one takes minutes. So its weights are
dequantized into a folder from which a base is loaded as from any other. Configuration and tokenizer have a folder of
their own, so that a model is refused before its weights are converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from tiebreak.errors import ModelError
from tiebreak.extras import require_extra
from tiebreak.library_logging import quiet_model_loading
from tiebreak.runs import write_folder_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SPLIT: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_WORD: Final = re.compile(r" ?[A-Za-z]{4,}")
_WORDS_TRIED: Final = 500
_MIN_WHOLE_WORDS: Final = 0.95
"""The least share of words of the vocabulary that a tokenizer must encode as one token. Correct ones reach 1."""


def is_gguf(name: str) -> bool:
    """Whether the name of a model is that of a GGUF file."""
    return name.lower().endswith(".gguf") and Path(name).is_file()


def converted_description(name: str) -> str:
    """The folder with the configuration and the tokenizer of a GGUF file.

    Raises:
        ModelError: the file is one part of several, or transformers makes a wrong tokenizer from it.
    """
    return str(_converted(Path(name), "description", _write_description))


def converted_weights(name: str) -> str:
    """The folder with the dequantized weights of a GGUF file.

    Matrices that the file holds in 32 or 16 bits keep their type; those of quantized files become bfloat16.
    """
    return str(_converted(Path(name), "weights", _write_weights))


def _converted(file: Path, part: str, write: Callable[[Path, Path], None]) -> Path:
    """The folder in the cache that `write` fills, if it is not there yet."""
    from huggingface_hub.constants import HF_HOME

    if _SPLIT.search(file.name):
        raise ModelError(f"{file} is one part of a GGUF file. Join the parts first: `llama-gguf-split --merge`.")
    require_extra("gguf", f"reading {file.name}")
    status = file.stat()
    # Other versions of transformers may convert differently.
    identity = f"{file.resolve()} {status.st_size} {status.st_mtime_ns} {version('transformers')}"
    key = f"{file.stem}-{blake2b(identity.encode(), digest_size=8).hexdigest()}"
    target = Path(HF_HOME) / "tiebreak" / "gguf" / key / part
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{part}.lock")):  # the processes of a training on several GPUs
            if not target.exists():
                with quiet_model_loading(), write_folder_atomically(target) as draft:
                    write(file, draft)
    return target


def _write_description(file: Path, folder: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)
    config.dtype = _stored_dtype(file)
    config.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    _check_tokenizer(file, tokenizer)
    tokenizer.save_pretrained(folder)


def _write_weights(file: Path, folder: Path) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(str(file.parent), gguf_file=file.name, dtype=_stored_dtype(file), **_dequantize())
    # A model that came from a GGUF file refuses to be saved: another one of its class takes the weights.
    values = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    plain = type(model)(type(model.config)(**values)).to(model.dtype)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)


def _dequantize() -> dict[str, Any]:
    """The option without which newer versions of transformers may keep the weights quantized."""
    import transformers

    config = getattr(transformers, "GgufConfig", None)
    return {} if config is None else {"quantization_config": config(dequantize=True)}


def _stored_dtype(file: Path) -> Any:
    """The type of the weights: that of the file's matrices, or bfloat16 if they are quantized."""
    import torch
    from gguf import GGUFReader

    kinds = {tensor.tensor_type.name for tensor in GGUFReader(file).tensors if len(tensor.shape) > 1}
    if kinds == {"F16"}:
        return torch.float16
    return torch.float32 if kinds <= {"F32", "F16"} else torch.bfloat16


def _check_tokenizer(file: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that words of the vocabulary are encoded as the tokens that they are.

    Some versions of transformers lose the merges of some vocabularies, and then make several times as many tokens.
    """
    words = (text for token in range(len(tokenizer)) if _WORD.fullmatch(text := str(tokenizer.decode([token]))))
    tried = [word for _, word in zip(range(_WORDS_TRIED), words, strict=False)]
    whole = sum(len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1 for word in tried)
    if not tried or whole < _MIN_WHOLE_WORDS * len(tried):
        raise ModelError(
            f"transformers {version('transformers')} makes a wrong tokenizer from {file}: it encodes {whole} of "
            f"{len(tried)} words of the vocabulary as one token. Install a newer transformers (5.23 reads Gemma 3), or "
            "use the original checkpoint."
        )
