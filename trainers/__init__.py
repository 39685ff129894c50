"""HOW one spec becomes one result."""
