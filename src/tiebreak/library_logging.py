"""Keeping the libraries underneath from speaking while a model is loaded."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_model_loading() -> Iterator[None]:
    """Hold back what would only mislead; errors still show, and everything is as it was afterwards.

    transformers reports that the head is missing from a base model, as it is in every one; the head that judges comes
    from the run, and Tiebreak itself refuses models that lack anything else. Its bar over the weights is for people:
    where nobody watches a terminal it would only fill a log.
    """
    from huggingface_hub.utils import enable_progress_bars
    from transformers.utils import logging as transformers_logging

    kernels = logging.getLogger("bitsandbytes")  # says what it lacks as it is first imported
    verbosity, level = transformers_logging.get_verbosity(), kernels.level
    transformers_logging.set_verbosity_error()
    kernels.setLevel(logging.ERROR)
    hide_bar = transformers_logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if hide_bar:
        transformers_logging.disable_progress_bar()
        enable_progress_bars()  # the hub's, which transformers turned off too: a download of gigabytes should show
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        kernels.setLevel(level)
        if hide_bar:
            transformers_logging.enable_progress_bar()
