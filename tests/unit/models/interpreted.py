"""Triton's kernels on the CPU, in its interpreter, which tests/conftest.py asks for."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import pytest

tl = pytest.importorskip("triton.language")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("the kernels run as they are here: tests/gpu", allow_module_level=True)


def _patch_language_once_per_launch() -> None:
    """Halve the interpreter's time: it patches `triton.language` for every call of a device function.

    Once per launch and namespace is enough: the patches last until the launch ends.
    """
    from triton.runtime import interpreter

    patched: set[tuple[bool, ...]] = set()
    patch, launch = interpreter._patch_lang, interpreter.GridExecutor.__call__

    def patch_once(fn: Any) -> Any:
        modules = [value for value in fn.__globals__.values() if isinstance(value, ModuleType)]
        key = (tl in modules, tl.core in modules)
        if key in patched:
            return None
        patched.add(key)
        return patch(fn)

    def launch_patched(self: Any, *args: Any, **kwargs: Any) -> None:
        patched.clear()
        launch(self, *args, **kwargs)

    interpreter._patch_lang = patch_once
    interpreter.GridExecutor.__call__ = launch_patched


_patch_language_once_per_launch()
