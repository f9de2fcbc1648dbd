"""How good a counter is, and what it costs."""
