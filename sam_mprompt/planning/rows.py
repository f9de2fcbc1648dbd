"""A line of a plan: what, value, because."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """What a plan chose.

    Attributes:
        key: a recipe's key, such as "data.scale".
        value: its value, as TOML has it.
        because: one sentence with the figures that decided.
    """

    key: str
    value: Any
    because: str
