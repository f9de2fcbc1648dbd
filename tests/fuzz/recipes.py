"""Recipes: TOML that is damaged or asks for what cannot be, `--set`, keys of version 0.1, recipes of pre-trainings."""

import json
from pathlib import Path
from typing import Any

from .attempt import Attempt
from .dice import NUMBERS, VALUES, Dice
from .worker import Finding

IMPORTS = ("sam_mprompt.models.build", "sam_mprompt.pretraining.recipe")

OLD = """[model]
encoder = "sam"
base = "random:tiny"
pretrained = true
levels = []
stem_stride = 2
positions = "resample"
fuse_levels = false
[tuning]
method = "prompt"
bottleneck = 8
placement = ["attention", "mlp"]
blocks = "all"
options = {bottleneck = 4}
[train]
accumulate = 2
start = ""
clip_norm = 1.0
"""
_ADDED = (
    "[tuning]\nmethod = 'lora'\n", "[tuning]\nmethod = 'side'\n", "[model]\nencoder = 'timm'\nbase = 'resnet18'\n",
    "[tuning.options]\nr = 4\n",
    "[data]\nformat = 'synthetic'\n", "[data]\nformat = 'ucf50'\nfold = 3\n", "[synthetic]\ntrain = 4\n",
    "[data]\ncache = 'features'\n",
    "name = '../x'\n", "a = [\n", "[[data]]\n", "[a.b.c]\n", "data = 3\n", "x = 1979-05-27T07:32:00Z\n",
    "[train]\nlr = 1e-3\nlr = 1e-4\n",
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Nothing."""


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make a recipe's file and overrides, and read them."""
    pretraining = dice.chance(0.1)
    text = OLD if dice.chance(0.15) else _bundled(dice, pretraining)
    if dice.chance(0.15):
        text += dice.pick(_ADDED)
    data = dice.lines(text) if dice.chance(0.4) else text.encode()
    path = folder / dice.pick(
        ("r.toml",) * 9 + ("my recipe.toml", "ä.toml", "-.toml", "\udcff.toml", "a" * 240 + ".toml")
    )
    path.write_bytes(data)
    overrides = [override(dice, pretraining) for _ in range(dice.choice((0, 1, 1, 1, 1, 2)))]
    name = str(path) if dice.chance(0.95) else dice.word()
    what = f"{name[-60:]!a} of {len(data)} bytes with {overrides!a:.200}"
    outlined = dice.chance(0.1)  # timm's models take seconds
    return Attempt(what, lambda: read(name, overrides, pretraining, outlined))


def override(dice: Dice, pretraining: bool = False) -> str:
    """Return a KEY=VALUE: most keys are known, most values strange."""
    from sam_mprompt.pretraining.recipe import PretrainRecipe
    from sam_mprompt.recipe.schema import Recipe

    keys = _keys(PretrainRecipe if pretraining else Recipe)
    key = (
        dice.pick(keys)
        if dice.chance(0.85)
        else dice.pick(("train.accumulate", "train.start", "x", ".", "a..b", dice.word()))
    )
    if dice.chance(0.1):
        return dice.pick((key, f"{key}=", "=", f"={key}", f" {key} = 1 "))
    value = dice.pick(
        (
            dice.word,
            lambda: str(dice.pick(NUMBERS[:-2])),
            lambda: json.dumps(dice.pick(VALUES)),
            lambda: json.dumps([dice.pick(NUMBERS[:10]), dice.pick(NUMBERS[:10])]),
            lambda: f'"{dice.word()}"',
            lambda: dice.pick(
                ("'lora'", "'side'", "'timm'", "'files'", "'synthetic'", "'ucf50'", "'features'", "'full'", "1e-4", "2")
            ),
        )
    )()
    return f"{key}={value}"


def _bundled(dice: Dice, pretraining: bool) -> str:
    from sam_mprompt.resources import bundled

    folder = bundled("recipes") / "pretrain" if pretraining else bundled("recipes")
    return dice.pick(sorted(folder.glob("*.toml"))).read_text(encoding="utf-8")


def _keys(schema: Any) -> list[str]:
    found = []
    for name, field in schema.model_fields.items():
        value = field.default
        inner = type(value).model_fields if hasattr(type(value), "model_fields") else {}
        found += [f"{name}.{key}" for key in inner] or [name]
    return [*found, "tuning.options", "tuning.blocks", "model.levels", "model.pretrained", "model.weights", "data.fold"]


def read(name: str, overrides: list[str], pretraining: bool, outlined: bool) -> None:
    from sam_mprompt.models.build import build_outline
    from sam_mprompt.pretraining.recipe import load_pretrain_recipe
    from sam_mprompt.recipe.find import find_recipe, summarise
    from sam_mprompt.recipe.schema import load_recipe, parse_recipe

    if pretraining:
        load_pretrain_recipe(name, overrides)
        return
    recipe = load_recipe(name, overrides)
    summarise("x", find_recipe(name))
    import tomllib

    if parse_recipe(tomllib.loads(recipe.to_toml()), source="itself") != recipe:
        raise Finding("a recipe that is written and read again is another one")
    if outlined or recipe.model.encoder == "sam":
        build_outline(recipe.model)
