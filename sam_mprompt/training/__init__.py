"""Training a counter."""
