"""What all tables of a recipe share: they are strict, fixed once read, and say which of their values contradict."""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from .limits import MAX_SIDE, MIN_SIDE, MOST_SEEDS

LENIENT = "lenient"
"""As the context of a validation: contradictions are left for the caller to ask for."""

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
PixelSide = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Workers = Annotated[int, Field(ge=0, le=128)]
Seed = Annotated[int, Field(ge=0, lt=MOST_SEEDS)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Contradiction(NamedTuple):
    """Values that are sound one by one and not together.

    Attributes:
        keys: all that were looked at, as the table names them; the first is the one to change.
        says: "expected ..., got ...".
    """

    keys: tuple[str, ...]
    says: str


class Section(BaseModel):
    """A table of a recipe: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what this table's own keys contradict, its tables' keys among each other included."""
        yield from ()

    def all_contradictions(self) -> Iterator[Contradiction]:
        """Yield this table's contradictions and those of the tables in it, keys named from here."""
        for name in type(self).model_fields:
            if isinstance(table := getattr(self, name), Section):
                for keys, says in table.all_contradictions():
                    yield Contradiction(tuple(f"{name}.{key}" for key in keys), says)
        yield from self.contradictions()

    @model_validator(mode="after")
    def _no_contradictions(self, info: ValidationInfo) -> Self:
        if info.context != LENIENT and (found := [f"{keys[0]}: {says}" for keys, says in self.contradictions()]):
            raise ValueError("; ".join(found))
        return self


def default_tag(key: str, value: str) -> BeforeValidator:
    """Return what lets a table leave out the key that tells a union's members apart; `value` is then meant."""

    def fill(table: Any) -> Any:
        return {key: value, **table} if isinstance(table, dict) else table

    return BeforeValidator(fill)


def members(schema: type[BaseModel], table: str) -> tuple[str, dict[str, type[Section]]]:
    """Return what tells the members of a schema's table apart and the members by its values; ("", {}) for no union."""
    field = schema.model_fields.get(table)
    if field is None or not isinstance(field.discriminator, str):
        return "", {}
    key = field.discriminator
    by_value = {}
    for member in get_args(field.annotation):
        for value in get_args(member.model_fields[key].annotation):
            by_value[str(value)] = member
    return key, by_value
