"""What is sold: products, tiers (policies), offers, features, and the namespace of typed codes."""
