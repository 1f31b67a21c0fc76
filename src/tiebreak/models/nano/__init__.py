"""The built-in nano model: a Gemma 2 of about a million parameters that knows small sums and little else.

It is a real `Gemma2ForCausalLM` checkpoint (alternating sliding-window attention, both soft-caps, tied
embeddings), small enough to ship inside the package and to fine-tune on two CPU cores in a minute, so that a
first run needs no download. `tiebreak.models.nano.pretrain` made it and says from which texts.
"""

from pathlib import Path
from typing import Final

NANO_PATH: Final[Path] = Path(__file__).parent
"""The folder holding the checkpoint and its tokenizer: hand it to any `from_pretrained`."""
