"""Counting people in images of any size."""
