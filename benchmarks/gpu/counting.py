"""Counting on a GPU: files of full-HD photographs, switching adapters, and agreement with the CPU."""

import tempfile
from functools import partial
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from benchmarks.gpu.setting import Setting, Step, Timed, compare, timed_steps
from benchmarks.speed.adapters import written
from benchmarks.speed.folder import FULL_HD, Watched, photographs
from benchmarks.speed.pairs import Result, Spread
from sam_mprompt.arrays import ByteImage
from sam_mprompt.counting.counter import load


def folder_rows(setting: Setting, data: Path | None) -> list[Result]:
    """Count full-HD JPEGs, decoding included, against the bare forward passes of the same tiles; decode on the GPU."""
    config, number, size = ("vit_b", 32, FULL_HD) if setting.kernels else ("tiny", 2, (200, 300))
    with tempfile.TemporaryDirectory() as folder:
        paths = photographs(Path(folder), number, size, data)
        adapter = written(Path(folder), config)
        counter = load(adapter, device=setting.device, precision="bf16")
        geometry = counter.folder.geometry
        tiles: list[np.ndarray] = []
        watch = Watched(counter, tiles)
        images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths[:8]]
        with watch:
            list(counter.count_many(images, batch_size=8))

        def count(batch: int) -> None:
            list(counter.count_many(paths, batch_size=batch))

        def bare() -> None:
            for _ in range(max(1, number // len(images))):
                for batch in tiles:
                    counter.ready("default").backend.density(batch)

        steps: dict[str, Step] = {
            "decoded by OpenCV": partial(count, 8),
            "one by one": partial(count, 1),
            "bare": bare,
        }
        timed = timed_steps(setting, steps, rounds=3)
        rate = number / timed.median("decoded by OpenCV")
        note = f"{rate:.1f} images/s with batches of 8, tiles of {geometry.tile} px"
        what = f"count of {size[1]}x{size[0]} JPEGs, SAM-base, bf16, batches of 8"
        return [
            Result(what, "one by one", timed.ratio("one by one", "decoded by OpenCV"), note=note),
            Result(what, "its bare forward passes", timed.ratio("bare", "decoded by OpenCV"), aim=0.95),
            *decoding_rows(setting, paths, timed),
        ]


def decoding_rows(setting: Setting, paths: list[Path], counted: Timed) -> list[Result]:
    """Decode on the GPU, by nvJPEG, against OpenCV in one thread; and what share of counting it is."""
    if not setting.kernels:
        return []
    from torchvision.io import decode_jpeg, read_file

    def by_gpu() -> None:
        decode_jpeg([read_file(str(path)) for path in paths], device=setting.device)

    def by_opencv() -> None:
        for path in paths:
            cv2.imread(str(path))

    try:
        timed = timed_steps(setting, {"GPU": by_gpu, "OpenCV": by_opencv}, rounds=3)
    except RuntimeError as error:
        return [Result("decoding JPEGs on the GPU", "OpenCV", Spread.once(float("nan")), note=str(error)[:100])]
    share = timed.median("OpenCV") / counted.median("decoded by OpenCV")
    note = f"OpenCV's decoding, in one thread, is {100 * share:.0f} % of the time of counting, which it runs beside"
    return [Result("decoding JPEGs on the GPU", "OpenCV, one thread", timed.ratio("OpenCV", "GPU"), note=note)]


def switching_rows(setting: Setting) -> list[Result]:
    """Switch between two loaded adapters, against loading base and adapter again."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = written(Path(folder), "vit_b" if setting.kernels else "tiny")
        counter = load(adapter, device=setting.device)
        counter.load_adapter(adapter, name="other")
        names = cycle(("other", "default"))

        def switch() -> None:
            counter.use(next(names))
            assert counter.model is not None

        timed = timed_steps(
            setting, {"load": partial(load, adapter, device=setting.device), "switch": switch}, rounds=5
        )
    return compare(timed, "switch", {"load": "loading base and adapter again"}, "switching to a loaded adapter")


def street(seed: int) -> ByteImage:
    """Return a procedural picture with structure at many scales."""
    generator = np.random.default_rng(seed)
    noise = sum(
        cv2.resize(generator.random((side, side, 3), dtype=np.float32), (640, 480), interpolation=cv2.INTER_CUBIC)
        for side in (4, 16, 64, 128)
    )
    return (255 * np.clip(np.asarray(noise) / 4, 0, 1)).astype(np.uint8)


def agreement_rows(setting: Setting) -> list[Result]:
    """Count twenty pictures with the bundled demo adapter on the CPU and here, in float32 and bfloat16."""
    pictures = [street(seed) for seed in range(20 if setting.kernels else 1)]
    expected = np.array([c.count for c in load("demo", device="cpu").count_many(pictures)])
    found = []
    for precision, bound in (("no", 1e-3), ("bf16", 1e-2)):
        counts = load("demo", device=setting.device, precision=precision).count_many(pictures)  # type: ignore[arg-type]
        off = float(np.max(np.abs(np.array([c.count for c in counts]) - expected) / np.maximum(expected, 1)))
        note = f"largest relative difference {off:.1e}; at most {bound:g} was aimed at"
        name = {"no": "float32", "bf16": "bfloat16"}[precision]
        found.append(
            Result(
                f"counts of the demo adapter, {name}", "the CPU", Spread.once(bound / max(off, 1e-12)), 1.0, note=note
            )
        )
    return found


def parts(setting: Setting, data: Path | None) -> dict[str, Step]:
    """Return every measurement by name."""
    return {
        "agreement": partial(agreement_rows, setting),
        "counting": partial(folder_rows, setting, data),
        "switching": partial(switching_rows, setting),
    }
