"""How long one waits for a database's lock, and which of PostgreSQL's advisory locks are taken."""

BUSY_SECONDS = 5
POINT_BUSY_SECONDS = 1  # a point read waits on the event loop itself

MIGRATE, SEAL, TELEMETRY, EDITION = 0x1C42, 0x6B657973, 0x746C6D, 0x656474


def advisory(lock: int) -> str:
    """PostgreSQL's statement that takes the lock until the transaction ends."""
    return f"SELECT pg_advisory_xact_lock({lock})"
