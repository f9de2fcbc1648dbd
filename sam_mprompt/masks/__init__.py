"""Pseudo masks of a dataset, made once."""
