"""Years of late, missed, double and partial payments, outages, pauses, upgrades and come-backs, in any order.

`ledger` reckons every cycle and every cent from outside, and at the end of each year the books are the same: no period
is billed twice, none is given away, the calendar has not drifted; and who has paid in time what he was shown has it,
whatever time did while he stood at the checkout. More of it: `python -m tests.stories.years`.
"""

from pathlib import Path

import pytest

from keysat.infra.store import Store
from tests.stories.years import live


@pytest.mark.once
async def test_years_of_a_subscriber_end_with_the_books_balanced(store: Store, tmp_path: Path) -> None:
    """Two orders that are looked at in one moment come in either order, so no two runs need to live the same years."""
    world = await live(store, tmp_path, seed=4, years=6, subscribers=1)
    assert world.done["renewed"] > 15, world.done


async def test_half_a_year_of_some_ends_with_the_books_balanced(store: Store, tmp_path: Path) -> None:
    world = await live(store, tmp_path, seed=5, years=0.5, subscribers=3)
    assert (world.done["renewed"] >= 4, world.done["pay:edge"] >= 2) == (True, True), world.done
