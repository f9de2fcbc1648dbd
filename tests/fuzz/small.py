"""A base, a recipe and an adapter that are read in milliseconds."""

from pathlib import Path

_CONFIG = {
    "embed_dim": 16, "depth": 2, "num_heads": 2, "global_attn_indexes": (1,), "out_channels": 8, "window_size": 4,
    "grid": 4
}  # fmt: skip

RECIPE = """dataset = "tiny"
[data]
format = "points"
crop = 64
min_side = 64
[targets]
pseudo_mask = "points"
kernel_size = 15
[model]
base = "BASE"
stem_channels = 8
[tuning]
bottleneck = 4
[train]
epochs = 1
batch_size = 2
lr = 1e-3
workers = 0
preview_every = 0
[infer]
tile = 96
overlap = 16
"""


def write_base(folder: Path) -> Path:
    """Write a SAM encoder of 20 thousand parameters as base.safetensors, and return the file."""
    from safetensors.torch import save_file

    from sam_mprompt.models.sam_config import SamConfig
    from sam_mprompt.models.sam_encoder import SamEncoder

    path = folder / "base.safetensors"
    save_file(SamEncoder.random(SamConfig(**_CONFIG), seed=3).state_dict(), path)
    return path


def write_recipe(folder: Path, *, name: str = "tiny") -> Path:
    """Write a recipe that stands on `write_base`."""
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.replace("BASE", str(folder / "base.safetensors")), encoding="utf-8")
    return path


def write_adapter(folder: Path, *, name: str = "adapter") -> Path:
    """Write an adapter, untrained, on `write_base`."""
    from sam_mprompt.adapter.calibration_file import CalibrationFile
    from sam_mprompt.adapter.folder import AdapterFolder
    from sam_mprompt.adapter.scope_file import RangeRecord, ScopeFile
    from sam_mprompt.models.build import build_counter
    from sam_mprompt.recipe.schema import load_recipe

    recipe = load_recipe(folder / "tiny.toml")
    known = CalibrationFile(origin="val", heads=tuple(range(20)), counted=tuple(map(float, range(20))))
    seen = ScopeFile(images=20, ranges={"side": RangeRecord(least=64, most=64, low=4.0, high=4.3)})
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    metrics = {"val": {"images": 2, "mae": 1.0, "rmse": 2.0, "nae": 0.5}, "epoch": 1}
    AdapterFolder.of(folder / name, built, recipe, metrics=metrics, calibration=known, scope=seen).write()
    return folder / name
