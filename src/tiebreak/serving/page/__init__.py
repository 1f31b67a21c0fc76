"""The web page that a judge's server shows at `/`: plain HTML, CSS and JavaScript modules, with no build step.

The page has no inline scripts or styles and loads nothing from other servers, as `CONTENT_SECURITY_POLICY` demands: a
browser then runs nothing but the server's own files, so pasted text stays text.

`page.js` starts the page. Its modules: `fields.js` (prompt and answers), `links.js`, `server.js` (requests and the API
key), `problem.js` (errors), `result.js` (verdicts and rankings), `format.js` (numbers and sentences), `dom.js`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The header to send the page with. Its icon is the only `data:` address in it."""

_MEDIA_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@cache
def page_files() -> dict[str, tuple[str, bytes]]:
    """The page's files: path -> (media type, content). They refer to each other and to the API by relative paths."""
    folder = files(__name__)
    served = {"/": ("text/html; charset=utf-8", (folder / "index.html").read_bytes())}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        media_type = _MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            served[f"/page/{file.name}"] = (media_type, file.read_bytes())
    return served
