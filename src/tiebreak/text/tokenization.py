"""Texts to token ids, in batches on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

Ids = npt.NDArray[np.int32]

ROWS_PER_BATCH: Final = 512
"""Enough rows for the tokenizer's threads, and few enough that its objects do not fill the memory."""


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Ids]:
    """Ids of each text, without added tokens: one int32 array [tokens] per text.

    All texts are tokenised in one batch on all cores; pass at most `ROWS_PER_BATCH`.
    """
    encodings = rust_tokenizer(tokenizer).encode_batch_fast(texts, add_special_tokens=False)  # without offsets
    return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]


def rust_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The Rust tokenizer, configured to give the same tokens as calling `tokenizer` on plain texts.

    The call converts tokens, offsets and ids to Python lists first, which takes a third more time.
    """
    backend = tokenizer.backend_tokenizer
    # Other code changes these settings of the shared object. They are reset only if they differ, since setting them
    # fails while a thread is tokenising.
    if backend.truncation is not None:
        backend.no_truncation()
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend
