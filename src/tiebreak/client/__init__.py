"""A judge that is served elsewhere: `Client`, and `AsyncClient` for event loops."""

from tiebreak.client.answers import ServedLimits, ServedModel
from tiebreak.client.awaited import AsyncClient
from tiebreak.client.blocking import Client

__all__ = ["AsyncClient", "Client", "ServedLimits", "ServedModel"]
