"""Which held money a page has told of: its form sends that along as `known`.

So who presses a button of an older page is shown what came since, before more is asked of him.
"""

from collections.abc import Sequence

from keysat.checkout.held import Held


def references(money: Sequence[Held]) -> str:
    """As the form sends them."""
    return " ".join(one.order.support_reference for one in money)


def is_known(money: Sequence[Held], known: str) -> bool:
    """All of it."""
    return {one.order.support_reference for one in money} <= set(known.split())
