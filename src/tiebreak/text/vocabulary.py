"""Whether a model has an embedding for every token of its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiebreak.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def check_vocabulary(tokenizer: PreTrainedTokenizerFast, embedding_rows: int) -> None:
    """Check that the ids of all tokens are rows of the embedding.

    Args:
        tokenizer: of the model.
        embedding_rows: `model.get_input_embeddings().num_embeddings`, or `vocab_size` of the text configuration.

    Raises:
        ModelError: an id is out of range; a text with that token would end in an IndexError.
    """
    name, largest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if largest >= embedding_rows:
        raise ModelError(
            f"The tokenizer has token ids up to {largest:,} ({name!r}), but the model's embedding has only "
            f"{embedding_rows:,} rows: tokens were added and the embedding was not resized. Call "
            f"model.resize_token_embeddings({largest + 1}) and save the model, or use the tokenizer that the model was "
            "published with."
        )
