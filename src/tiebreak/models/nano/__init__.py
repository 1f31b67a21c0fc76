"""The built-in nano model: a Gemma 2 of about a million parameters that can add small numbers and little else.

It is a real `Gemma2ForCausalLM` checkpoint (alternating sliding-window attention, both soft-caps, tied
embeddings), small enough to ship inside the package and to fine-tune on two CPU cores in a minute, so that a
first run needs no download. It was made by `tiebreak.models.nano.pretrain`, from the texts of `nano.corpus`.
"""

from pathlib import Path
from typing import Final

NANO_PATH: Final[Path] = Path(__file__).parent
"""The folder with the checkpoint and its tokenizer, for any `from_pretrained`."""
