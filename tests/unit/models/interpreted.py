"""Triton's kernels on the CPU, in its interpreter, which tests/conftest.py asks for."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("the kernels run as they are here: tests/gpu", allow_module_level=True)
