"""Adapter folders of strangers: every file damaged or made to claim much, its checksums put right or not."""

import json
import shutil
from pathlib import Path
from typing import Any

from . import bases, small
from .attempt import Attempt
from .dice import NUMBERS, Dice

IMPORTS = ("sam_mprompt.counting.counter",)

_CONFIG, _COUNTER, _RECIPE, _TENSORS = "adapter_config.json", "counter.json", "recipe.toml", "adapter_model.safetensors"
_KNOWN = ("calibration.json", "scope.json", "licences.json")
_FILES = (*_KNOWN, _CONFIG, _CONFIG, _COUNTER, _COUNTER, _RECIPE, _RECIPE, _TENSORS, "metrics.json", "README.md")


def prepare(folder: Path) -> None:
    """Write a small base, a recipe and an adapter."""
    small.write_base(folder)
    small.write_recipe(folder)
    small.write_adapter(folder)


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Copy the adapter, change up to two files, and load it."""
    adapter = shutil.copytree(shared / "adapter", folder / "adapter")
    changed = [
        _change(dice, adapter, name) for name in {dice.pick(_FILES): 0 for _ in range(dice.choice((1, 1, 1, 2)))}
    ]
    signed = dice.chance(0.85)
    if signed:
        _sign(adapter)
    shared_adapter = shared / "adapter"
    return Attempt(f"{'; '.join(changed)}{', signed' if signed else ''}", lambda: _load(adapter, shared_adapter))


def _load(adapter: Path, whole: Path) -> None:
    import numpy as np

    import sam_mprompt
    from sam_mprompt.adapter.folder import AdapterFolder
    from sam_mprompt.errors import UsageError

    picture = np.zeros((40, 130, 3), np.uint8)
    try:
        AdapterFolder.read(adapter).facts()
        counter = sam_mprompt.load(adapter, device="cpu")
    except UsageError:
        first = sam_mprompt.load(whole, device="cpu")
        first.load_adapter(adapter, name="b")  # raises likewise
        raise
    result = counter.count(picture)
    result.points()
    assert (result.interval() is None) == (result.why_no_interval() is not None)


def _change(dice: Dice, adapter: Path, name: str) -> str:
    path = adapter / name
    if not path.is_file():
        return f"no {name}"
    data = path.read_bytes()
    kind = dice.randrange(10)
    if kind == 0:
        path.write_bytes(dice.damaged(data))
        return f"{name} damaged"
    if kind == 1 and dice.chance(0.5):
        path.unlink()
        if dice.chance(0.5):
            path.mkdir()
        return f"no {name}, or a folder"
    if name == _TENSORS:
        path.write_bytes(bases.other_header(dice, data) if dice.chance(0.7) else dice.damaged(data))
        return f"{name}, another header or damaged"
    if name == _RECIPE:
        path.write_bytes(_other_recipe(dice, data.decode()))
    elif name in (_CONFIG, _COUNTER):
        table = json.loads(data)
        said = _aimed(dice, table, name)
        path.write_bytes(json.dumps(table).encode() if dice.chance(0.7) else dice.json(table))
        return f"{name}: {said}"
    else:
        path.write_bytes(dice.json(json.loads(data)) if path.suffix == ".json" else dice.lines(data.decode()))
    return f"{name} changed"


def _aimed(dice: Dice, table: dict[str, Any], name: str) -> str:
    """Change one key to a value that it might just take."""
    choices: dict[str, tuple[Any, ...]] = {
        "target_modules": (
            "(([a-z0-9._]+)+)+X", "(a|a)*b", ".*", "[", "x" * 10_000, "(" * 500, [".*"], [], ["attn"] * 100_000, None,
            3, "", "^$",
        ),
        "bottleneck": (10**6, 10**9, 2**63, 0, -1, 1.5, True, "4", None, 5),
        "peft_type": ("LORA", "LOHA", "OFT", "BOFT", "IA3", "ADALORA", "VERA", "XLORA", "PREFIX_TUNING", dice.word()),
        "modules_to_save": (["patch_embed"], ["x"], [".*"], "x", 3),
    } if name == _CONFIG else {
        "format_version": (0, 1, 3, 2.0, "2", None, True), "base": (dice.word(), "../x", "random:tiny", "hf:a/b",
        "/dev/zero"),
        "native": (True, "true", 1), "stride": (0, -1, 1, 10**9, 1.5), "size_divisor": (0, 1, 10**9, 2**70),
        "mean": ([0, 0], [float("nan")] * 3, [1e300] * 3), "std": ([0, 0, 0], [1e-320] * 3, [-1, 1, 1]),
        "sha256": ({}, {"../x": "0"}, {"/etc/passwd": "0"}, {"nothing": "0"}, []), "dtype": ("float16", "int8", None),
        "geometry": ({}, None, {"tile": 1}, {"tile": 10**9, "overlap": 10**9 - 1}),
    }  # fmt: skip
    key = dice.pick(choices)
    table[key] = dice.pick(choices[key])
    if name == _CONFIG and key == "peft_type" and dice.chance(0.7):
        for own in ("bottleneck", "placement"):
            table.pop(own, None)
        table["r"] = dice.pick((4, 0, -1, 10**6, 10**9))
    if name == _COUNTER and key == "geometry" and isinstance(table["geometry"], dict) and dice.chance(0.5):
        table["geometry"] |= {dice.pick(("tile", "overlap", "scale", "max_side", "min_side")): dice.pick(NUMBERS)}
    return f"{key} = {table[key]!a:.80}"


def _other_recipe(dice: Dice, text: str) -> bytes:
    if dice.chance(0.5):
        key = dice.pick(
            (
                "tile",
                "overlap",
                "stem_channels",
                "stem_blocks",
                "density_stride",
                "scale",
                "bottleneck",
                "max_side",
                "base",
            )
        )
        value = dice.pick((0, 1, -1, 32, 8192, 10**9, 1e300, '"x"', 1024, 64, 16))
        rows = [f"{key} = {value}" if row.startswith(f"{key} =") else row for row in text.splitlines()]
        return "\n".join(rows).encode()
    return dice.lines(text)


def _sign(adapter: Path) -> None:
    from sam_mprompt.files import sha256_of

    path = adapter / _COUNTER
    try:
        table = json.loads(path.read_bytes())
        named = [name for name in table["sha256"] if (adapter / name).is_file()]
        if named:
            table["sha256"] = {name: sha256_of(adapter / name) for name in named}
            path.write_bytes(json.dumps(table).encode())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
