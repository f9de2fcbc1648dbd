"""Small datasets of the user's own kind for the tests of this folder."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from sam_mprompt.data.formats.read import Split, read_split

HEADS = [[3.5, 4.0], [10.0, 2.0]]


def folder_of(root: Path, files: dict[str, object], images: Iterable[str] = ("a.jpg", "b.jpg"), size=(40, 30)) -> Path:
    """Write images of (width, height), each another noise, and files of text, bytes or JSON."""
    for number, name in enumerate(images):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return root


def train(root: Path, **options: object) -> Split:
    """Read all images that no list or folder gives to another split."""
    return read_split(root, "train", format="points", val_fraction=0, **options)


def points(root: Path, **options: object) -> dict[str, list[list[float]]]:
    """Return the heads of each image of train."""
    return {sample.image.name: sample.points.tolist() for sample in train(root, **options).samples}


def shape(label: str | None, *places: list[float], kind: str = "point", **more: object) -> dict[str, object]:
    """Return a shape of labelme."""
    return {"label": label, "shape_type": kind, "points": list(places), **more}


def coco(
    marks: list[tuple[str, list[float]]], size: tuple[int, int] | None = None, **parts: object
) -> dict[str, object]:
    """Return a COCO file of a.jpg with marks (category, box) and of b.jpg without any; `size` is (width, height)."""
    names = sorted({name for name, _ in marks})
    stated = {} if size is None else {"width": size[0], "height": size[1]}
    return {
        "images": [{"id": 1, "file_name": "a.jpg", **stated}, {"id": 2, "file_name": "b.jpg", **stated}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": names.index(name), "bbox": box}
            for number, (name, box) in enumerate(marks)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        **parts,
    }
