"""Counting over HTTP: adapters in one process, requests gathered into batches, bounded in bytes, pixels and time."""
