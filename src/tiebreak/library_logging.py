"""Control what libraries log while a model is loaded."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_model_loading() -> Iterator[None]:
    """Suppress misleading messages of libraries; errors are still shown. All settings are restored at the end.

    transformers warns that a base model has no classification head. This is always so: the head comes from the run,
    and Tiebreak itself checks that nothing else is missing. The progress bar over the weights is shown only in a
    terminal.
    """
    from huggingface_hub.utils import enable_progress_bars
    from transformers.utils import logging as transformers_logging

    bitsandbytes = logging.getLogger("bitsandbytes")  # logs missing optional features when it is first imported
    verbosity, level = transformers_logging.get_verbosity(), bitsandbytes.level
    transformers_logging.set_verbosity_error()
    bitsandbytes.setLevel(logging.ERROR)
    hide_bar = transformers_logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if hide_bar:
        transformers_logging.disable_progress_bar()
        enable_progress_bars()  # of the hub, which transformers disabled too: a large download should show progress
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        bitsandbytes.setLevel(level)
        if hide_bar:
            transformers_logging.enable_progress_bar()
