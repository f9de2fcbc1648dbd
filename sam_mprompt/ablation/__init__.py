"""The paper's experiments: variants of a recipe, their records and tables, two counters compared."""
