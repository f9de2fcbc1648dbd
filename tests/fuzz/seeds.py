"""`python -m tests.fuzz.seeds`: write the corpus anew. What was found (`found-...`) stays as it is."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sam_mprompt.data.convert import WRITTEN
from sam_mprompt.data.formats.tools.families import FAMILIES
from sam_mprompt.data.formats.tools.family import Picture
from sam_mprompt.resources import bundled

from . import annotations, bases, counts, images, recipes, regions, saved
from .parser import CORPUS, corpus_of
from .parsers import parsers

_SIZE = (24, 32)
_POINTS = np.array(annotations.POINTS)
_BOXES = np.array(annotations.BOXES, np.float64)

_OF_TOOLS = {
    "labelme": ("labelme", "a.json"), "cvat": ("cvat", "annotations.xml"), "label-studio": ("label studio",
    "export.json"), "via": ("via", "via_region_data.json"), "via3": ("via 3", "via3.json"), "coco": ("coco",
    "annotations.json"), "roboflow": ("coco", "annotations.json"), "yolo": ("yolo", "labels/train/a.txt"),
    "voc": ("voc", "a.xml"), "supervisely": ("supervisely", "ann/a.png.json"), "cell-counter": ("cell counter",
    "CellCounter_a.xml"), "csv": ("csv", "annotations.csv"), "json": ("sidecars of json", "a.json"), "txt": ("sidecars "
    "of text", "a.txt"),
}  # fmt: skip
"""The layout of `annotations` and its file that hold what a tool itself writes, with more than we would."""

_OF_DATASETS = {
    "shanghaitech": ("shanghaitech", "train_data/ground-truth/GT_IMG_1.mat"), "qnrf": ("qnrf",
    "Train/img_0001_ann.mat"), "nwpu": ("nwpu", "jsons/0001.json"), "nwpu-list": ("nwpu", "train.txt"),
    "jhu": ("jhu", "train/gt/0001.txt"), "jhu-labels": ("jhu", "train/image_labels.txt"), "list": ("lists",
    "train.txt"), "yolo-yaml": ("yolo's folders", "data.yaml"), "yolo-classes": ("yolo", "classes.txt"),
}  # fmt: skip

_WORDS = "x=cx,y=cy,image=photo\n10min\n500ms\n10f\nhf:a/b@main\nrtsp://u:p@h/?token=1\nframes/%06d.jpg\nwebcam:0\n"
_OVERRIDES = 'train.epochs=5\ntuning.method="lora"\ntuning.options.r=4\ndata.format=synthetic\ntrain.accumulate=2\n'
_SERIES = "time,seconds,count,smoothed,gap\n0:00:00.000,0.000,3.5000,3.5000,\n0:00:01.000,1.000,4.0000,3.7500,2.500\n"


def main() -> None:
    """Write every seed that has changed, and remove those that are none any more."""
    for name in parsers():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        made = seeds_of(name)
        for file in corpus_of(name):
            if file.name not in made and not file.name.startswith("found-"):
                file.unlink()
        for file_name, content in made.items():
            (folder / file_name).write_bytes(content)


def seeds_of(name: str) -> dict[str, bytes]:
    """Return the seeds of a parser by file name."""
    family, part = name.split("/")
    if family == "annotations":
        return _of_tool(part)
    if family == "datasets":
        layout, file = _OF_DATASETS[part]
        return {f"whole{Path(file).suffix}": _bytes(annotations.LAYOUTS[layout]()[file])}
    return _OTHERS[name]()


def _bytes(content: Any) -> bytes:
    if isinstance(content, annotations.Mat):
        return content.written(do_compression=True)
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def _of_tool(name: str) -> dict[str, bytes]:
    """Return what our own writer makes, and what the tool makes."""
    made: dict[str, bytes] = {}
    if name in _OF_TOOLS:
        layout, file = _OF_TOOLS[name]
        made[f"tool{Path(file).suffix}"] = _bytes(annotations.LAYOUTS[layout]()[file])
    if name in WRITTEN:
        for number, file in enumerate(_written(name)):
            made[f"ours-{number}{file[0]}"] = file[1]
    if name == "csv":
        made["boxes.csv"] = _bytes(annotations.LAYOUTS["csv of boxes"]()["annotations.csv"])
    if name == "json":
        made["points.jsonl"] = _bytes(annotations.LAYOUTS["jsonl"]()["annotations.jsonl"])
    if name == "matlab":
        made["old.mat"] = annotations.Mat("points", _POINTS).written(format="4")
        made["structure.mat"] = _bytes(annotations.LAYOUTS["shanghaitech"]()["train_data/ground-truth/GT_IMG_1.mat"])
        made["mat73.mat"] = _mat73()
    return made


def _written(name: str) -> Iterator[tuple[str, bytes]]:
    family = WRITTEN[name]
    assert family.write is not None
    pictures = [Picture(f"{stem}.png", _SIZE, _POINTS, _BOXES, bytes=99) for stem in "ab"]
    for path, content in family.write(pictures).items():
        if Path(path).suffix in FAMILIES[name].suffixes:
            yield Path(path).suffix, _bytes(content)


def _mat73() -> bytes:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as table:
        table["points"] = _POINTS.T
    return b"MATLAB 7.3 MAT-file".ljust(512) + file.getvalue()[512:]


def _recipes() -> dict[str, bytes]:
    names = ("demo", "shb-tiny-side", "sha-hrnet", "shb-lite0-full")
    return {f"{name}.toml": (bundled("recipes") / f"{name}.toml").read_bytes() for name in names} | {
        "version-0.1.toml": recipes.OLD.encode()
    }


def _bundled(folder: str, file: str) -> Callable[[], dict[str, bytes]]:
    return lambda: {Path(file).name: (bundled(folder) / file).read_bytes()}


def _adapter(file: str) -> Callable[[], dict[str, bytes]]:
    def made() -> dict[str, bytes]:
        from . import small

        with TemporaryDirectory() as folder:
            small.write_base(Path(folder))
            small.write_recipe(Path(folder))
            whole = small.write_adapter(Path(folder)) / file
            return {file: whole.read_bytes().replace(f"{folder}/".encode(), b"")}

    return made


def _configs() -> dict[str, bytes]:
    lora = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["qkv"], "bias": "none"}
    return {**_adapter("adapter_config.json")(), "lora.json": json.dumps(lora).encode()}


def _safetensors(header: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def _tensors() -> dict[str, bytes]:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "F16", "shape": [4], "data_offsets": [16, 24]},
    }
    return {"whole.safetensors": _safetensors(header, bytes(24))}


def _checkpoints() -> dict[str, bytes]:
    import torch
    from safetensors.torch import save

    from sam_mprompt.models.sam_config import SamConfig
    from sam_mprompt.models.sam_encoder import SamEncoder

    shape = {**bases.CONFIG, "embed_dim": 4, "depth": 1, "global_attn_indexes": (0,), "out_channels": 4, "grid": 2}
    tensors = {name: part.half() for name, part in SamEncoder.random(SamConfig(**shape), seed=3).state_dict().items()}
    zipped, old = io.BytesIO(), io.BytesIO()
    torch.save(tensors, zipped)
    torch.save(tensors, old, _use_new_zipfile_serialization=False)
    return {"base.safetensors": save(tensors), "base.pt": zipped.getvalue(), "old.pt": old.getvalue()}


def _exported(suffix: str) -> Callable[[], dict[str, bytes]]:
    def made() -> dict[str, bytes]:
        from pooling_file import pooling_file, pooling_metadata

        from sam_mprompt.deploy.openvino_archive import Archived, write_archive

        text = pooling_metadata().to_json()
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"whole{suffix}"
            if suffix == ".json":
                path.write_text(text, encoding="utf-8")
            elif suffix == ".onnx":
                pooling_file(path)
            else:
                write_archive(Archived(b"<net/>", bytes(8), text), path)
            return {path.name: path.read_bytes()}

    return made


def _images() -> dict[str, bytes]:
    suffixes = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "bmp": ".bmp", "webp": ".webp"}
    return {
        f"{name.replace(' ', '-')}{suffixes[name.split()[0]]}": body
        for name, body in images.bodies().items()
        if name in _FEW_IMAGES
    }


_FEW_IMAGES = (
    "jpeg", "jpeg progressive", "jpeg turned", "png 16 bit", "png alpha", "png palette", "png turned",
    "tiff tiff_lzw", "tiff group4", "tiff pages", "tiff float", "tiff turned", "bmp 1 bit", "bmp palette", "webp",
    "webp frames", "webp turned",
)  # fmt: skip


def _masks() -> dict[str, bytes]:
    from sam_mprompt.data.masks import write_mask

    with TemporaryDirectory() as folder:
        write_mask(path := Path(folder) / "mask.png", np.eye(*_SIZE) > 0)
        return {path.name: path.read_bytes()}


def _array() -> dict[str, bytes]:
    from sam_mprompt.data.cache.arrays import write_array

    with TemporaryDirectory() as folder:
        write_array(path := Path(folder) / "cached.npy", np.arange(60, dtype=np.float16).reshape(2, 3, 10))
        whole = path.read_bytes()
        return {path.name: whole, "version-0.1.npy": whole[: whole.index(b"\n") + 1 + 120]}


def _regions() -> dict[str, bytes]:
    return {"table.csv": regions.TABLE.encode(), "drawn.geojson": json.dumps(regions.geojson()).encode()}


_OTHERS: dict[str, Callable[[], dict[str, bytes]]] = {
    "images/image": _images,
    "images/mask": _masks,
    "recipes/recipe": _recipes,
    "recipes/pretraining": _bundled("recipes", "pretrain/sam-tiny.toml"),
    "recipes/variants": _bundled("recipes", "ablation/table4.toml"),
    "recipes/registry": _bundled("checkpoints", "registry.toml"),
    "recipes/overrides": lambda: {"overrides.txt": _OVERRIDES.encode()},
    "recipes/words": lambda: {"words.txt": _WORDS.encode()},
    "adapters/config": _configs,
    "adapters/counter": _adapter("counter.json"),
    "adapters/calibration": _adapter("calibration.json"),
    "adapters/scope": _adapter("scope.json"),
    "adapters/licences": _adapter("licences.json"),
    "adapters/tensors": _tensors,
    "bases/checkpoint": _checkpoints,
    "exported/metadata": _exported(".json"),
    "exported/archive": _exported(".openvino"),
    "exported/onnx": _exported(".onnx"),
    "counts/csv": lambda: {"counts.csv": counts.WHOLE.encode()},
    "counts/series": lambda: {"series.csv": _SERIES.encode()},
    "regions/regions": _regions,
    "saved/array": _array,
    "saved/records": lambda: {"records.jsonl": json.dumps(saved.RECORD).encode() + b"\n"},
}


if __name__ == "__main__":
    main()
