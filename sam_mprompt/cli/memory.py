"""Which errors mean that the memory was not enough: `memory.memory_fault`, which a service asks too."""

from ..memory import memory_fault

__all__ = ["memory_fault"]
