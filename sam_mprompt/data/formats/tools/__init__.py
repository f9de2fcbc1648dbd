"""What people annotate with: one module a tool, each ending in its `Family`, listed in `families`."""
