"""What happens in the foundations, in the past tense."""

from keysat.infra.events import Happening


class AttentionSettled(Happening, frozen=True, tag="attention.settled"):
    attention_id: int
    kind: str
    about: str
