"""A disk that is full: one line says so, what was made before stands, and nothing half stays."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from faults.disks import Disk, contents, mounted
from pooling_backend import noise
from small_service import file_of
from small_training import small_session

from sam_mprompt.ablation.records import Record, append_record, read_records
from sam_mprompt.adapter.calibration_file import CalibrationFile
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.data.cache.images import ImageCache
from sam_mprompt.data.scenes.crowd import write_dataset
from sam_mprompt.errors import RunError, SamMpromptError
from sam_mprompt.files import LOCK, locked, write_text
from sam_mprompt.geometry import Geometry
from sam_mprompt.masks.make import PointMasks, make_masks
from sam_mprompt.render import save_image
from sam_mprompt.serve.problems import Problem
from sam_mprompt.tensor_files import write_tensors
from sam_mprompt.training.held_out import HeldOut, write_held_out
from sam_mprompt.training.log import MetricsLog
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.state import TrainingProgress, load_state, save_state
from sam_mprompt.ui.datasets import Datasets
from sam_mprompt.ui.films import Films

ROOMS = (0, 100, 5_000, 20_000, 50_000, 100_000, 300_000, 1_000_000, 4_000_000)


@pytest.fixture(params=[pytest.param("tmpfs", marks=pytest.mark.slow), "limit"])
def disk(request, tmp_path):
    """A small disk, or files that cannot grow."""
    if request.param == "limit":
        (tmp_path / "disk").mkdir()
        yield Disk(tmp_path / "disk", "limit")
        return
    with mounted(tmp_path / "disk") as root:
        yield Disk(root, "tmpfs")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small training that has been done."""
    session = small_session(tmp_path_factory.mktemp("small") / "run", {"epochs": 1, "ema": 0.9})
    session.fit()
    return session


def state(folder, version, trained):
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder)
    if not run.recipe.exists():
        run.recipe.write_text("")
    progress = TrainingProgress(step=version)
    save_state(run, progress, trained.counter, trained.parts.optimizer, average=trained.parts.average, scaler=None)


def adapter(folder, version, trained):
    AdapterFolder.of(folder / "adapter", trained.built, trained.recipe, metrics={"epoch": version}).write()


def calibration(folder, version, trained):
    known = tuple(float(heads * version) for heads in range(1, 2000))
    if not (folder / "adapter").exists():
        adapter(folder, 1, trained)
    of = CalibrationFile(origin="val", heads=tuple(range(1, 2000)), counted=known)
    AdapterFolder.read(folder / "adapter").recalibrate(of)


def base(folder, version, trained):
    write_tensors(folder / "base.safetensors", {"a": torch.full((50_000,), float(version))})


def text(folder, version, trained):
    write_text(folder / "recipe.toml", f"version = {version}\n" * 500)


def picture(folder, version, trained):
    save_image(folder / "overlay.jpg", noise(200, 300, version))


def held_out(folder, version, trained):
    write_held_out(folder / "held_out.jsonl", [HeldOut(f"{i}.jpg", 0, i, i + version) for i in range(200)])


def records(folder, version, trained):
    fixed = {"recipe": "demo", "settings": ("a=1",) * 300, "machine": "m", "epochs": 9, "seconds": 1.0}
    figures = {"best_epoch": 8, "val_mae": 1.0, "val_rmse": 2.0, "val_mean_mae": 3.0, "trainable": 1, "total": 2}
    append_record(folder / "records.jsonl", Record(row="a", seed=version, **fixed, **figures))
    assert read_records(folder / "records.jsonl")


def photograph(folder, version, trained):
    Datasets(folder).save("market", "a.png", file_of(noise(100, 150)), [(3.0, 4.0)] * version, (100, 150))
    Datasets(folder).save("market", f"b{version}.png", file_of(noise(100, 150, 1)), [(3.0, 4.0)], (100, 150))


def crowds(folder, version, trained):
    write_dataset(folder / f"crowds-{version}", seed=1, splits={"train": 2}, size=(96, 96))


def refusal(disk, room, write):
    """Write with so much room left; return what was said where it was not enough."""
    try:
        with disk.room(room):
            write()
    except RunError as error:
        return str(error)
    return None


REPLACING = [state, adapter, calibration, base, text, picture, held_out, records, crowds]


@pytest.mark.parametrize("write", REPLACING, ids=lambda write: write.__name__)
def test_what_is_replaced_on_a_full_disk_stands_as_it_was(disk, trained, write):
    folder = disk.root / "here"
    folder.mkdir()
    write(folder, 1, trained)
    before, refused = contents(folder), 0
    for room in ROOMS:
        said = refusal(disk, room, lambda: write(folder, 2, trained))
        if said is None:
            break
        refused += 1
        assert disk.said in said
        assert "\n" not in said
        assert ".part" not in said, "a path that nobody finds again"
        assert contents(folder) == before
    else:
        pytest.fail("it never fitted")
    assert refused, "every room was enough"
    assert not [name for name in contents(folder) if ".part" in name or ".old" in name]


def test_the_state_that_stands_on_a_full_disk_is_gone_on_from(disk, trained):
    folder = disk.root / "run"
    state(folder, 1, trained)
    with disk.room(100), pytest.raises(RunError):
        state(folder, 2, trained)
    parts = trained.parts
    put = load_state(RunFolder(folder), trained.counter, parts.optimizer, average=parts.average, scaler=None)
    assert put.step == 1


def test_masks_that_fitted_stay_and_the_same_call_makes_the_others(disk, crowd_folder, tmp_path):
    make_masks(PointMasks(5), crowd_folder, tmp_path / "whole")
    whole, out = contents(tmp_path / "whole"), disk.root / "masks"
    refused = 0
    for room in ROOMS:
        said = refusal(disk, room, lambda: make_masks(PointMasks(5), crowd_folder, out))
        if said is None:
            break
        refused += 1
        assert disk.said in said
        assert contents(out).items() <= whole.items()
    assert refused
    assert contents(out) == whole


@pytest.mark.slow
def test_images_in_a_cache_are_whole_or_not_there(disk, crowd_folder, tmp_path):
    images, geometry = sorted(crowd_folder.glob("*.png")), Geometry(min_side=64)
    whole = ImageCache(tmp_path / "whole", geometry)
    expected = [np.array(whole.read(image)) for image in images]
    cache = ImageCache(disk.root / "images", geometry)
    said = refusal(disk, 70_000 if disk.kind == "tmpfs" else 20_000, lambda: [cache.read(image) for image in images])
    assert disk.said in said
    assert contents(cache.folder).items() <= contents(whole.folder).items()
    assert all(np.array_equal(cache.read(image), found) for image, found in zip(images, expected, strict=True))


def test_a_line_of_metrics_is_whole_or_not_there(disk):
    path = disk.root / "metrics.jsonl"
    record = {"epoch": 1, "loss": 0.123456789, "note": "x" * 3000}
    with MetricsLog(path, kept_lines=0) as log:
        said = refusal(disk, 10_000, lambda: [log.append(record) for _ in range(10)])
        lines = log.lines
    assert disk.said in said
    assert lines > 0
    assert [json.loads(line) for line in path.read_text().splitlines()] == [record] * lines
    with MetricsLog(path, kept_lines=lines) as again:
        again.append(record)
    assert len(path.read_text().splitlines()) == lines + 1


def test_a_photograph_of_the_page_that_does_not_fit_costs_no_other(disk, trained):
    photograph(disk.root, 1, trained)
    before = contents(disk.root)
    with disk.room(0), pytest.raises(RunError, match=disk.said):
        photograph(disk.root, 2, trained)
    assert contents(disk.root) == before
    photograph(disk.root, 2, trained)
    assert [len(one.photos) for one in Datasets(disk.root).all()] == [3]


def test_a_video_that_does_not_fit_is_refused_and_leaves_nothing(disk, monkeypatch):
    async def chunks():
        for _ in range(10):
            yield bytes(30_000)

    monkeypatch.setattr("tempfile.tempdir", str(disk.root))
    films = Films(None, 1)
    with disk.room(100_000), pytest.raises(Problem) as told:
        asyncio.run(films.receive("1", "film.mp4", chunks(), 1 << 30))
    assert told.value.status == 507
    assert disk.said in told.value.detail
    assert list(films.folder.iterdir()) == []
    assert asyncio.run(films.receive("2", "film.mp4", chunks(), 1 << 30)).path.stat().st_size == 300_000
    films.close()
    assert not films.folder.exists()


def test_a_lock_that_cannot_be_written_is_none(disk):
    folder = disk.root / "run"
    folder.mkdir()
    with disk.room(0), pytest.raises(RunError, match=f"Cannot lock .*{disk.said}"), locked(folder):
        pass
    assert not (folder / LOCK).exists()
    with locked(folder):
        assert (folder / LOCK).exists()


def test_features_stay_where_the_disk_is_full_in_the_middle(tmp_path, tiny_recipe, crowd_folder):
    from faults.caches import features

    fill = features(tiny_recipe, crowd_folder)
    fill(tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    with mounted(tmp_path / "disk") as root:
        disk, made = Disk(root, "tmpfs"), []

        def fill_up(done, total):
            made.append(done)
            if done == 3:
                disk.fill(2000)

        with pytest.raises(RunError, match=disk.said):
            fill(root, progress=fill_up)
        assert made == [1, 2, 3]
        kept = contents(root)
        assert len([name for name in kept if name.endswith(".npy")]) == 3
        assert kept.items() <= whole.items()
        (root / "filler").unlink()
        made.clear()
        fill(root, progress=lambda done, total: made.append(total))
        assert made == [3] * 3, "what was there was made again"
        assert contents(root) == whole


def test_a_cache_that_cannot_fit_is_refused_before_it_is_begun(tmp_path, tiny_recipe, crowd_folder):
    from faults.caches import features

    with mounted(tmp_path / "disk") as root:
        disk = Disk(root, "tmpfs")
        with disk.room(5_000), pytest.raises(SamMpromptError, match="GB free"):
            features(tiny_recipe, crowd_folder)(root)
        assert contents(root) == {}


@pytest.fixture
def counting(monkeypatch, trained_run):
    from sam_mprompt.counting.counter import load

    counter = load(trained_run)
    monkeypatch.setattr("sam_mprompt.deploy.load.load", lambda *_arguments, **_options: counter)
    return trained_run


@pytest.mark.slow
@pytest.mark.parametrize("files", [("--csv",), ("--csv", "--points")], ids="-".join)
def test_counts_that_fitted_stay_as_whole_rows_and_the_others_follow(tmp_path, counting, crowd_folder, run_cli, files):
    images = sorted(crowd_folder.glob("*.png")) * 1

    def words(folder: Path, *more: str) -> list[object]:
        named = [word for file in files for word in (file, folder / f"{file.strip('-')}.csv")]
        return ["count", counting, *images, *named, *more]

    assert run_cli(*words(tmp_path)).code == 0
    with mounted(tmp_path / "disk") as root:
        disk = Disk(root, "tmpfs")
        for file in files:  # what grows beyond its first page finds no other
            (root / f"{file.strip('-')}.csv").write_bytes(b"")
        with disk.room(0):
            done = run_cli(*words(root))
        assert done.code == 1
        assert [line for line in done.err.splitlines() if disk.said in line] != []
        assert "Traceback" not in done.err
        assert all(content in (b"",) or content.endswith(b"\n") for content in contents(root).values())
        resumed = run_cli(*words(root, "--resume-csv"))
        assert resumed.code == 0, resumed.err
        for name, content in contents(root).items():
            assert content == Path(tmp_path / name).read_bytes()


@pytest.mark.slow
def test_an_exported_file_that_does_not_fit_leaves_the_older_one(tmp_path, trained_run, run_cli):
    with mounted(tmp_path / "disk") as root:
        disk, file = Disk(root, "tmpfs"), root / "tiny.onnx"
        file.write_bytes(b"an older file")
        with disk.room(50_000):
            done = run_cli("export", trained_run, "--format", "onnx", "--to", file)
        assert (done.code, done.err.count(disk.said), "Traceback" in done.err) == (1, 1, False)
        assert contents(root) == {"tiny.onnx": b"an older file"}
