"""Encoders, decoders and the counter."""
