"""Pages are asked for by a browser."""

from tests.web.selling import front

__all__ = ["front"]
