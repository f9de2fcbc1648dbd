"""Adapters as one file that counts anywhere: written with torch, read and run without it."""
