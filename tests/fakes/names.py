"""A name server for tests, which ask none: it knows addresses, and no name but this machine's own."""

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address


async def look_up(host: str, _port: int) -> Sequence[str]:
    with suppress(ValueError):
        return [str(ip_address(host))]
    if host == "localhost":
        return ["127.0.0.1"]
    raise OSError
