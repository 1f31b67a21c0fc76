"""The page for people that a judge's server shows at `/`: plain HTML, CSS and JavaScript, and nothing from elsewhere.

It has no inline script or style, so it works under `CONTENT_SECURITY_POLICY`, which keeps a browser from running or
fetching anything that the server itself did not send: what is pasted into the page stays text.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The header that the page is meant to be sent with; its icon is the one `data:` address in it."""

_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


@cache
def page_files() -> dict[str, tuple[str, bytes]]:
    """What to serve for the page: path -> (media type, body). It names its files and the API by relative paths."""
    folder = files(__name__)
    return {path: (media_type, (folder / name).read_bytes()) for path, (name, media_type) in _FILES.items()}
