"""The version of this package, which saved files record."""

__version__ = "0.2.0"
