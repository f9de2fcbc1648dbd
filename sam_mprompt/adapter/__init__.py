"""Adapter folders: what export writes and load reads."""
