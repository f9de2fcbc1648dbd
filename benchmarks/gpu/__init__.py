"""The GPU measured: see __main__.py."""
