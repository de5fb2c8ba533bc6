"""What a bitcoin costs: several sources are asked, and a price counts when they agree."""
