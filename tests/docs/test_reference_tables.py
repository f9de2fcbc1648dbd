"""The generated references, on a made-up recipe with unions and a made-up program."""

from typing import Annotated, Literal

import pytest
import typer
from pydantic import BaseModel, Field, PositiveInt

from docs.reference_tables import MissingDescriptionError, command_page, recipe_page
from sam_mprompt.cli.app import app
from sam_mprompt.pretraining.recipe import PretrainRecipe
from sam_mprompt.recipe.schema import Recipe


class Prompts(BaseModel):
    """Modules inside."""

    method: Literal["prompt"] = "prompt"
    bottleneck: PositiveInt = Field(192, description="width of a module")


class Peft(BaseModel):
    """Any method of peft."""

    method: Literal["lora", "dora", "boft", "ia3"] = Field(description="its name")
    options: dict[str, int] = Field(default_factory=dict, description="by peft's names")
    blocks: Literal["all"] | tuple[PositiveInt, ...] = Field("all", description="which | where")


class Frozen(BaseModel):
    """Nothing."""

    method: Literal["none"] = "none"


class Training(BaseModel):
    """The optimisation."""

    decay: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="of weights")
    zoom: tuple[float, float] = Field((1.0, 2.0), description="range")


class MadeUp(BaseModel):
    """A recipe."""

    name: str = Field("custom", description="names the run")
    tuning: Annotated[Prompts | Peft | Frozen, Field(discriminator="method")] = Prompts()
    train: Training = Training()


def test_a_union_has_a_table_for_each_member_under_what_tells_it_apart():
    page = recipe_page(MadeUp)
    assert page.count("## `[tuning]`\n") == 1
    assert '### `[tuning]` with `method` = `"prompt"`' in page
    assert '### `[tuning]` with `method` = `"lora"` or `"dora"` or `"boft"` and 1 more' in page
    assert "Modules inside. *This is meant where `method` is left out.*" in page
    assert page.count("This is meant") == 1
    assert "| `options` | by peft's names<br>*empty by default; table* |" in page
    assert page.index("width of a module") < page.index("by peft's names") < page.index("It has no keys of its own.")
    assert '| `method` | its name<br>*required; `"lora"`, `"dora"`, `"boft"`, `"ia3"`* |' in page


def test_a_row_says_default_meaning_and_range():
    page = recipe_page(MadeUp)
    assert "| `bottleneck` | width of a module<br>*`192` by default; whole number, above 0* |" in page
    assert "| `decay` | of weights<br>*`0.5` by default; number, at least 0, below 1* |" in page
    assert "| `zoom` | range<br>*`[1.0, 2.0]` by default; list of 2: each number* |" in page
    assert 'which \\| where<br>*`"all"` by default; `"all"` or list: each whole number, above 0*' in page
    assert page.startswith("| key |")


def test_keys_that_say_nothing_of_themselves_are_refused_all_at_once():
    class Silent(BaseModel):
        train: Training = Training()
        seed: int = 0
        tuning: Annotated[Frozen | Prompts, Field(discriminator="method")] = Frozen()

    class Section(BaseModel):
        lr: float = 1.0

    class Worse(Silent):
        more: Section = Section()

    with pytest.raises(MissingDescriptionError, match=r"none of more\.lr, seed"):
        recipe_page(Worse)


@pytest.mark.parametrize("schema", [Recipe, PretrainRecipe])
def test_every_key_of_our_recipes_is_described(schema):
    page = recipe_page(schema)
    assert all(f"# `[{name}]`\n" in page or f"| `{name}` |" in page for name in schema.model_fields)


def test_a_command_has_usage_example_and_every_option():
    program = typer.Typer(name="made-up")
    group = typer.Typer(help="A group.")

    @program.command(epilog="Example: `made-up paint wall --colour red`")
    def paint(
        what: Annotated[str, typer.Argument(metavar="WHAT", help="The thing.")],
        colour: Annotated[Literal["red", "blue"], typer.Option(help="Its colour.")],
        coats: Annotated[int, typer.Option(metavar="N|M", help="How often.")] = 2,
        dry: Annotated[bool, typer.Option("--dry", help="Wait.")] = False,
    ) -> None:
        """Paint a thing."""

    @group.command("list")
    def list_things() -> None:
        """List things."""

    program.add_typer(group, name="things")
    page = command_page(program)
    assert "## `made-up paint`\n\nPaint a thing.\n\n```text\nmade-up paint --colour VALUE [OPTIONS] WHAT\n```" in page
    assert "```bash\nmade-up paint wall --colour red\n```" in page
    assert "| `WHAT` | The thing. |" in page
    assert "Its colour. One of `red`, `blue`. *Required.* |" in page
    assert "| `--coats` `N|M` | How often. *By default `2`.* |" in page
    assert "| `--dry` | Wait. |" in page
    assert "## `made-up things`\n\nA group.\n\n### `made-up things list`" in page


def test_our_command_reference_has_an_example_for_every_command():
    page = command_page(app)
    assert page.count("```bash") == page.count("```text") > 15
