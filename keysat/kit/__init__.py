"""Values and the arithmetic on them: no I/O, no nouns of the trade, the standard library only."""
