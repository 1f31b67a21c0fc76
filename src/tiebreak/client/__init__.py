"""Clients for a judge that `tiebreak serve` serves: `Client`, and `AsyncClient` for event loops.

`protocol` builds requests and `responses` parses answers, `transport` decides about retries and explains errors. These
are pure functions; the two clients add the sending and the waiting.
"""

from tiebreak.client.async_client import AsyncClient
from tiebreak.client.responses import ServedLimits, ServedModel
from tiebreak.client.sync_client import Client

__all__ = ["AsyncClient", "Client", "ServedLimits", "ServedModel"]
