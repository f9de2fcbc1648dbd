"""Encoders, heads and the counter."""
