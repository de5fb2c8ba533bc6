"""What became of letters, in the past tense."""

from uuid import UUID

from keysat.infra.events import Happening
from keysat.letters.tables import LetterId, LetterKind


class LetterSent(Happening, frozen=True, tag="letter.sent"):
    letter_id: LetterId
    kind: LetterKind
    about: UUID


class LetterParked(Happening, frozen=True, tag="letter.parked"):
    letter_id: LetterId
    kind: LetterKind
    about: UUID
