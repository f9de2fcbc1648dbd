"""Training a small base from scratch."""
