"""What we wrote ourselves, damaged since: caches, states, runs, masks, metrics, records, locks, tables of variants."""

import shutil
from collections.abc import Callable
from pathlib import Path

from . import bases, small
from .attempt import Attempt
from .dice import Dice

IMPORTS = ("sam_mprompt.training.trained", "sam_mprompt.masks.make", "sam_mprompt.ablation.variants")

RECORD = {
    "row": "a", "seed": 0, "recipe": "shb", "settings": ["train.lr=1e-3"], "machine": "cpu", "epochs": 1,
    "seconds": 2.0,
    "best_epoch": 1, "val_mae": 1.0, "val_rmse": 2.0, "val_mean_mae": 3.0, "trainable": 4, "total": 5,
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Write a run with state and adapter, a cached array, a mask."""
    import numpy as np
    import torch

    from sam_mprompt.data.cache.arrays import write_array
    from sam_mprompt.data.masks import write_mask
    from sam_mprompt.models.build import build_counter
    from sam_mprompt.recipe.schema import load_recipe
    from sam_mprompt.training.run import RunFolder
    from sam_mprompt.training.state import TrainingProgress, save_state

    small.write_base(folder)
    recipe = load_recipe(small.write_recipe(folder))
    run = RunFolder(folder / "run")
    run.path.mkdir()
    shutil.copytree(small.write_adapter(folder), run.adapter)
    run.recipe.write_text(recipe.to_toml())
    run.metrics.write_text('{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.4}\n')
    run.mark("0123456789abcdef")
    model = build_counter(recipe.model, recipe.tuning, segmenter=recipe.loss.segmentation > 0).counter
    optimizer = _optimizer(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    save_state(run, TrainingProgress(epoch=1, step=2, log_lines=2), model, optimizer, average=None, scaler=None)
    write_array(folder / "cached.npy", np.arange(60, dtype=np.float16).reshape(2, 3, 10))
    write_mask(folder / "mask.png", np.eye(24, 32) > 0)


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Damage one of them and read it."""
    return dice.pick((_cache, _state, _state, _state, _run, _masks, _records, _log, _lock, _variants, _registry))(
        dice, folder, shared
    )


def _cache(dice: Dice, folder: Path, shared: Path) -> Attempt:
    from sam_mprompt.data.cache.arrays import is_intact, read_cached

    data = (shared / "cached.npy").read_bytes()
    if dice.chance(0.4):  # its header alone, so that what it claims is believed
        end = data.index(b"\n") + 1
        header = dice.damaged(data[10:end])
        data = (
            data[:8]
            + len(header).to_bytes(2, "little")
            + header
            + data[end : len(data) - 71 if dice.chance(0.5) else None]
        )
    else:
        data = dice.damaged(data)
    path = folder / "cached.npy"
    path.write_bytes(data)
    return Attempt(f"a cached array of {len(data)} bytes", lambda: (is_intact(path), read_cached(path).sum()))


def _state(dice: Dice, folder: Path, shared: Path) -> Attempt:
    run = shutil.copytree(shared / "run", folder / "run")
    if dice.chance(0.5):
        path = run / "state" / "progress.json"
        import json

        table = json.loads(path.read_text())
        if dice.chance(0.7):  # as version 0.1, which kept no checksums to tell it by
            table.pop("sha256"), table.pop("tensors")
        path.write_bytes(dice.json(table))
        what = "progress.json"
    else:
        path = run / "state" / "state.safetensors"
        data = path.read_bytes()
        path.write_bytes(bases.other_header(dice, data) if dice.chance(0.5) else dice.damaged(data))
        what = "state.safetensors"
        if dice.chance(0.5):
            _forget_checksums(run / "state" / "progress.json")
            what += " without checksums"
    return Attempt(f"{what} of a state", lambda: _resume(run))


def _forget_checksums(path: Path) -> None:
    import json

    table = json.loads(path.read_text())
    table.pop("sha256"), table.pop("tensors")
    path.write_text(json.dumps(table))


def _resume(path: Path) -> None:
    from sam_mprompt.errors import UsageError
    from sam_mprompt.models.build import build_counter
    from sam_mprompt.recipe.schema import load_recipe
    from sam_mprompt.training.log import MetricsLog
    from sam_mprompt.training.run import RunFolder
    from sam_mprompt.training.state import discard_start, load_state, load_weights

    with RunFolder.claimed("x", path, resume=True) as run:
        recipe = load_recipe(run.recipe)
        model = build_counter(recipe.model, recipe.tuning, segmenter=recipe.loss.segmentation > 0).counter
        try:
            progress = load_state(run, model, _optimizer(model), average=None, scaler=None)
        except UsageError:
            load_weights(run, model)
            discard_start(run)
            raise
        with MetricsLog(run.metrics, kept_lines=progress.log_lines) as log:
            log.append({"epoch": progress.epoch + 1})


def _optimizer(model: object) -> object:
    import torch

    return torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-3)


def _run(dice: Dice, folder: Path, shared: Path) -> Attempt:
    import torch

    from sam_mprompt.training.run import RunFolder
    from sam_mprompt.training.trained import load_run

    run = shutil.copytree(shared / "run", folder / "run")
    name = dice.pick(("recipe.toml", "metrics.jsonl", "fingerprint", "state", "adapter", "state/progress.json"))
    _spoil(dice, run / name)

    def read() -> None:
        found = RunFolder(run)
        found.recover()
        assert found.fingerprint is None or isinstance(found.fingerprint, str)
        assert found.is_empty is False
        load_run(found, device=torch.device("cpu"))
        _resume(run)

    return Attempt(f"{name} of a run", read)


def _spoil(dice: Dice, path: Path) -> None:
    """Damage a file, or put something else in the place of a file or folder."""
    if path.is_file() and dice.chance(0.6):
        path.write_bytes(dice.damaged(path.read_bytes()))
        return
    (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    replacement: Callable[[], object] = dice.pick(
        (path.mkdir, path.touch, lambda: path.symlink_to(path.name), lambda: path.symlink_to("nowhere"), lambda: None)
    )
    replacement()


def _masks(dice: Dice, folder: Path, shared: Path) -> Attempt:
    import numpy as np
    from PIL import Image

    from sam_mprompt.masks.make import PointMasks, make_masks

    data, out = folder / "data", folder / "masks"
    data.mkdir()
    out.mkdir()
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(data / "a.png")
    (data / "a.txt").write_text("3 4\n")
    (out / "masks.json").write_bytes(
        dice.json({"source": "points", "dilation": 8}) if dice.chance(0.5) else b'{"source": "points", "dilation": 8}'
    )
    (out / "a.png").write_bytes(dice.damaged((shared / "mask.png").read_bytes()))
    if dice.chance(0.3):
        _spoil(dice, out / dice.pick(("a.png", "masks.json")))
    return Attempt("masks and their record", lambda: make_masks(PointMasks(8), data, out))


def _records(dice: Dice, folder: Path, shared: Path) -> Attempt:
    from sam_mprompt.ablation.records import append_record, read_records

    old = {key: value for key, value in RECORD.items() if key not in ("recipe", "settings")} | {
        "command": "sam-mprompt finetune --recipe shb --set a=1"
    }
    path = folder / "records.jsonl"
    line = dice.json(dice.pick((RECORD, old)))
    path.write_bytes(line + dice.pick((b"\n", b"", b"\n{\n", b"\n\xff\xfe}\n")))

    def read() -> None:
        for record in read_records(path):
            append_record(path, record)

    return Attempt(f"records {line[:80]!a}", read)


def _log(dice: Dice, folder: Path, shared: Path) -> Attempt:
    from sam_mprompt.training.log import MetricsLog

    path = folder / "metrics.jsonl"
    path.write_bytes(dice.damaged(b'{"epoch": 1}\n{"epoch": 2}\n'))

    def read() -> None:
        with MetricsLog(path, kept_lines=dice.choice((0, 1, 99))) as log:
            log.append({"epoch": 3})

    return Attempt(f"metrics {path.read_bytes()[:60]!a}", read)


def _lock(dice: Dice, folder: Path, shared: Path) -> Attempt:
    from sam_mprompt.files import LOCK, recover_within
    from sam_mprompt.training.run import RunFolder

    run = folder / "run"
    run.mkdir()
    (run / LOCK).write_bytes(
        dice.pick((b"", b"99999", b"1", dice.word().encode("utf-8", "replace"), dice.randbytes(50)))
    )
    (
        run
        / f".x.{dice.word()[:20].replace('/', '').replace(chr(0), '') or 1}.part".encode("utf-8", "replace").decode()
    ).touch()
    if dice.chance(0.2):
        _spoil(dice, run / LOCK)

    def take() -> None:
        recover_within(run)
        with RunFolder.claimed("x", run):
            pass

    return Attempt("a lock and leftovers", take)


def _variants(dice: Dice, folder: Path, shared: Path) -> Attempt:
    from sam_mprompt.ablation.variants import load_ablation
    from sam_mprompt.resources import bundled

    path = folder / "rows.toml"
    path.write_bytes(dice.lines(dice.pick(sorted((bundled("recipes") / "ablation").glob("*.toml"))).read_text()))
    return Attempt("a table of variants", lambda: load_ablation(str(path)))


def _registry(dice: Dice, folder: Path, shared: Path) -> Attempt:
    from sam_mprompt.bases.locate import listing
    from sam_mprompt.resources import bundled

    path = folder / "registry.toml"
    path.write_bytes(dice.lines((bundled("checkpoints") / "registry.toml").read_text()))
    return Attempt("a registry of checkpoints", lambda: listing(registry=path))
