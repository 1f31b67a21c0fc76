"""Sphinx configuration: Markdown by MyST, the furo theme, reference pages generated from the code.

Everything the built pages load lies in the built folder: they work from file:// without a network, search included.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
sys.path.insert(0, str(DOCS.parent / "src"))

from generate import write_pages  # noqa: E402

write_pages(DOCS / "generated")

project = "Tiebreak"
author = "The Tiebreak authors"
try:
    release = installed_version("tiebreak")
except ModuleNotFoundError:
    release = "from source"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "generated/layers.txt"]
myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Tiebreak"
html_copy_source = False
html_show_sourcelink = False
