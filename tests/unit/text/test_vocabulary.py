from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from tiebreak.errors import ModelError
from tiebreak.text import check_vocabulary


def test_tokens_beyond_the_embedding_are_refused(words: PreTrainedTokenizerFast) -> None:
    size = len(words)
    check_vocabulary(words, size)
    check_vocabulary(words, size + 64)  # padded embeddings have more rows
    with pytest.raises(ModelError) as refusal:
        check_vocabulary(words, size - 1)
    assert f"token ids up to {size - 1} ('b99')" in str(refusal.value)
    assert f"only {size - 1} rows" in str(refusal.value)
    assert f"resize_token_embeddings({size})" in str(refusal.value)
