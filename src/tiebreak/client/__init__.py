"""A judge that is served elsewhere: `Client`, and `AsyncClient` for event loops."""

from tiebreak.client.async_client import AsyncClient
from tiebreak.client.responses import ServedLimits, ServedModel
from tiebreak.client.sync_client import Client

__all__ = ["AsyncClient", "Client", "ServedLimits", "ServedModel"]
