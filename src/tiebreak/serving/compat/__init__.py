"""Compatibility APIs: the paths, requests and responses of other reward model servers.

Each API has a file: `openrlhf`, `vllm` and `vllm_pairs`, `tei` (text-embeddings-inference), `sglang`, `llamafactory`.
They share three helpers:

- `inputs`: what a request contains -> `Comparison` and `Conversation`, and the field types that requests share;
- `outputs`: probabilities, logits and rewards of these, from either kind of judge;
- `routing`: paths that two APIs share, the error format of each path, and the list of all routers.

To add an API, write a file with its pydantic request and response models and a function `NAME_routes(judge)` that
returns an `APIRouter`: parse the request with `inputs`, judge it with `outputs`. Add the function to `compat_routes` in
`routing`. If its clients expect errors in a format of their own, add that format to the file and its paths to
`error_body`. If a path exists already, add a discriminator on the body, as for `/classify`. Test it in
`tests/integration/test_compat.py` with the requests that its real client sends.
"""

from tiebreak.serving.compat.routing import compat_routes, error_body

__all__ = ["compat_routes", "error_body"]
