"""Datasets: every format of `data/formats`, its annotation and lists changed in structure or damaged byte by byte."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .attempt import Attempt
from .dice import NUMBERS, Dice
from .worker import Finding

IMPORTS = ("sam_mprompt.cli.data_report", "sam_mprompt.data.check", "scipy.io")

Files = dict[str, Any]
"""What lies in a dataset by its path: bytes, text, or a value of JSON (a dict or list)."""

POINTS = [[3.0, 4.5], [20.0, 11.0], [9.5, 17.0]]
BOXES = [[1, 2, 6, 7], [18, 9, 23, 14], [7, 15, 12, 20]]
_NAMES = ("a.png", "b.png", "c.png")
_SIZE = {"width": 32, "height": 24}


def prepare(folder: Path) -> None:
    """Nothing: datasets are small enough to be made anew."""


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make a dataset with up to two damaged files, and read it as a training does."""
    name = dice.pick(LAYOUTS)
    files = LAYOUTS[name]()
    changeable = [file for file in files if not file.endswith((".png", ".jpg"))]
    chosen = dice.sample(changeable, min(len(changeable), dice.choice((1, 1, 1, 2))))
    for file in chosen:
        files[file] = _changed(dice, files[file])
    if dice.chance(0.3):
        extra = dice.pick(_EXTRA)
        files[extra] = dice.lines(_EXTRA[extra])
        chosen.append(extra)
    if dice.chance(0.1):
        chosen.append(odd := dice.pick(files))
        files[odd] = dice.pick(({}, None, b""))
    for file, content in files.items():
        write(folder / file, content)
    label = dice.pick(("head", "car", dice.word())) if dice.chance(0.15) else None
    form = dice.pick(("points", dice.word())) if dice.chance(0.1) else None
    return Attempt(
        f"{name}: {', '.join(chosen)} (label {label!a:.40}, format {form!a:.40})", lambda: read(folder, form, label)
    )


def read(folder: Path, form: str | None, label: str | None) -> None:
    from rich.console import Console

    from sam_mprompt.cli.data_report import print_report
    from sam_mprompt.data.check import check
    from sam_mprompt.errors import UsageError

    report = check(folder, form, label=label)
    report.as_dict()
    print_report(report, Console(file=io.StringIO()))
    samples = read_samples(folder, form, label)
    if report.faults or not samples:
        raise UsageError("; ".join(report.faults) or "no split can be read")


def read_samples(folder: Path, form: str | None = None, label: str | None = None) -> int:
    """Read every split there is, and return the number of samples."""
    from sam_mprompt.data.formats.read import read_split
    from sam_mprompt.errors import UsageError

    number = 0
    for split in ("train", "val", "test"):
        with contextlib.suppress(UsageError):  # not every dataset has all three
            samples = read_split(folder, split, format=form, label=label).samples
            number += len(samples)
            for sample in samples:
                sound(sample)
    return number


def sound(sample: Any) -> None:
    """A head that is given out lies inside its image."""
    if sample.points is not None and len(sample.points):
        height, width = sample.size
        if not (
            (sample.points >= 0).all() and (sample.points[:, 0] < width).all() and (sample.points[:, 1] < height).all()
        ):
            raise Finding(f"heads of '{sample.image.name}' outside its image: {sample.points.tolist()!s:.300}")


def _changed(dice: Dice, content: Any) -> bytes | Any:
    if isinstance(content, bytes):
        return dice.damaged(content)
    if isinstance(content, Mat):
        return content.changed(dice)
    return dice.lines(content) if isinstance(content, str) else dice.json(content)


def write(path: Path, content: Any) -> None:
    import json

    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Mat):
        path.write_bytes(content.written())
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


class Mat:
    """A MATLAB file of one variable."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def written(self, **options: Any) -> bytes:
        """Return the file."""
        from scipy.io import savemat

        buffer = io.BytesIO()
        savemat(buffer, {self.name: self.value}, **options)
        data = buffer.getvalue()
        # The text in front says when it was written, and an input is the same on every day.
        return data if options.get("format") == "4" else b"MATLAB 5.0 MAT-file".ljust(116) + data[116:]

    def changed(self, dice: Dice) -> bytes:
        """Return the file of another variable, compressed or old, or damaged."""
        kind = dice.randrange(5)
        if kind == 0:
            return Mat(dice.pick(("x", "points", self.name)), _strange_array(dice)).written()
        if kind == 1:
            return dice.damaged(self.written(do_compression=True))
        if kind == 2 and isinstance(self.value, np.ndarray) and not self.value.dtype.hasobject:
            return dice.damaged(Mat(self.name, self.value).written(format="4"))
        if kind == 3:
            return dice.pick((b"", b"MATLAB 7.3 MAT-file" + bytes(500), b"\x89HDF\r\n\x1a\n" + bytes(500)))
        return dice.damaged(self.written())


def _strange_array(dice: Dice) -> Any:
    return dice.pick(
        (
            lambda: np.zeros((0, 2)),
            lambda: np.zeros((2, 0)),
            lambda: np.array([["a", "b"]]),
            lambda: np.full((3, 2), dice.pick([n for n in NUMBERS if isinstance(n, float)])),
            lambda: np.array(POINTS) * 1e300,
            lambda: np.array(POINTS).astype(np.complex128),
            lambda: np.array(POINTS).T,
            lambda: np.zeros((2, 2, 2)),
            lambda: {"location": np.array(POINTS), "number": np.array("x")},
            lambda: {"location": {"location": {"location": np.array(POINTS)}}},
            lambda: _cells([_cells([np.array(POINTS)])]),
            lambda: np.array(POINTS) > 5,
            lambda: np.uint8(POINTS),
            lambda: np.int64([[2**62, -(2**62)]]),
        )
    )()


def _cells(values: list[Any]) -> Any:
    made = np.empty((1, len(values)), object)
    made[0, :] = values
    return made


def _picture(seed: int, kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def images(folder: str = "", names: tuple[str, ...] = _NAMES) -> Files:
    return {f"{folder}{name}": _picture(sum(map(ord, folder + name))) for name in names}


def _coco() -> Any:
    pictures = [{"id": number, "file_name": name, **_SIZE} for number, name in enumerate(_NAMES)]
    marks = [
        {"id": 10 * image + number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 25, "bbox": [*box[:2],
            5, 5]}
        for image in range(3)
        for number, box in enumerate(BOXES)
    ]  # fmt: skip
    marks[0] |= {"keypoints": [1, 2, 2], "segmentation": [[1, 1, 2, 2, 3, 3]]}
    return {
        "images": pictures,
        "annotations": marks,
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
    }


def _via3() -> Any:
    return {
        "project": {"data_format_version": "3.1.2", "vid_list": ["1", "2", "3"]},
        "config": {},
        "attribute": {"1": {"aname": "label", "anchor_id": "FILE1_Z0_XY1", "type": 3, "options": {"1": "head"}}},
        "file": {str(n): {"fid": n, "fname": name, "type": 2, "loc": 1, "src": ""} for n, name in enumerate(_NAMES, 1)},
        "metadata": {
            f"1_{place}": {"vid": "1", "flg": 0, "z": [], "xy": [1, *point], "av": {"1": "1"}}
            for place, point in enumerate(POINTS)
        },
        "view": {str(n): {"fid_list": [n]} for n in range(1, 4)},
    }


def _supervisely() -> Any:
    objects = [
        {"classTitle": "head", "geometryType": "point", "points": {"exterior": [point], "interior": []}}
        for point in POINTS
    ]
    return {"description": "", "tags": [], "size": {"height": 24, "width": 32}, "objects": objects}


_CELLS = """<?xml version="1.0" encoding="UTF-8"?>
<CellCounter_Marker_File><Image_Properties><Image_Filename>a.png</Image_Filename></Image_Properties>
<Marker_Data><Current_Type>0</Current_Type><Marker_Type><Type>1</Type><Name>head</Name>
<Marker><MarkerX>3</MarkerX><MarkerY>4</MarkerY><MarkerZ>1</MarkerZ></Marker></Marker_Type></Marker_Data>
</CellCounter_Marker_File>
"""


def _labelme(name: str) -> Any:
    shapes: list[Any] = [
        {"label": "head", "shape_type": "point", "points": [point], "group_id": None} for point in POINTS
    ]
    shapes.append({"label": "head", "shape_type": "rectangle", "points": [[1, 2], [6, 7]], "group_id": 1, "flags": {}})
    shapes.append({"label": "eye", "shape_type": "circle", "points": [[3, 3], [4, 4]], "group_id": 1})
    return {
        "version": "5.4.1",
        "shapes": shapes,
        "imagePath": name,
        "imageWidth": 32,
        "imageHeight": 24,
        "imageData": None,
    }


def _rows(pattern: str) -> str:
    return "".join(pattern.format(n=name, x=x, y=y, x2=x + 4, y2=y + 4) for name in _NAMES for x, y in POINTS)


def _own(files: Files) -> Files:
    return {**images(), **files}


def _shanghaitech() -> Files:
    info = {"location": np.array(POINTS), "number": np.array([[3.0]])}
    files: Files = {}
    for part in ("train_data", "test_data"):
        files |= images(f"{part}/images/", ("IMG_1.jpg", "IMG_2.jpg"))
        files |= {f"{part}/ground-truth/GT_IMG_{n}.mat": Mat("image_info", _cells([info])) for n in (1, 2)}
    return files


def _qnrf() -> Files:
    files: Files = {}
    for part in ("Train", "Test"):
        files |= images(f"{part}/", ("img_0001.jpg", "img_0002.jpg"))
        files |= {f"{part}/img_000{n}_ann.mat": Mat("annPoints", np.array(POINTS)) for n in (1, 2)}
    return files


def _ucf50() -> Files:
    numbers = (1, 12, 25)
    return images("", tuple(f"{n}.jpg" for n in numbers)) | {
        f"{n}_ann.mat": Mat("annPoints", np.array(POINTS)) for n in numbers
    }


def _nwpu() -> Files:
    record = {"img_id": "0001.jpg", "human_num": 3, "points": POINTS, "boxes": BOXES}
    return {
        **images("images/", ("0001.jpg", "0002.jpg", "0003.jpg")),
        **{f"jsons/000{n}.json": record for n in (1, 2)},
        "train.txt": "0001 1 3\n",
        "val.txt": "0002 0 2\n",
        "test.txt": "0003\n",
        "readme.md": "text",
    }


def _jhu() -> Files:
    files: Files = {}
    for part in ("train", "val", "test"):
        files |= images(f"{part}/images/", ("0001.jpg", "0002.jpg"))
        files |= {f"{part}/gt/000{n}.txt": "3 4 5 5 1 0\n20 11 6 6 2 0\n" for n in (1, 2)}
        files[f"{part}/image_labels.txt"] = "0001,2,park,0,0\n0002,2,street,1,0\n"
    return files


_BOX_ROWS = "filename;x1;y1;x2;y2;class\n" + _rows("{n};{x};{y};{x2};{y2};head\n")
_VOC = """<annotation><folder>x</folder><filename>a.png</filename>
<size><width>32</width><height>24</height><depth>3</depth></size>
<object><name>head</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>6</xmax><ymax>7</ymax></bndbox></object>
</annotation>
"""
_CVAT = """<annotations><image id="0" name="a.png" width="32" height="24">
<points label="head" points="3,4;20,11"/><box label="head" xtl="1" ytl="2" xbr="6" ybr="7"/></image></annotations>
"""
_STUDIO = [
    {
        "data": {"image": "/data/upload/1/a.png"},
        "annotations": [
            {
                "result": [
                    {
                        "type": "keypointlabels",
                        "original_width": 32,
                        "original_height": 24,
                        "value": {"x": 10.0, "y": 20.0, "width": 1, "keypointlabels": ["head"]},
                    }
                ]
            }
        ],
    }
]
_VIA = {
    "a.png1": {
        "filename": "a.png",
        "size": 1,
        "regions": [{"shape_attributes": {"name": "point", "cx": 3, "cy": 4}, "region_attributes": {"label": "head"}}],
    }
}

LAYOUTS: dict[str, Callable[[], Files]] = {
    "shanghaitech": _shanghaitech,
    "qnrf": _qnrf,
    "ucf50": _ucf50,
    "nwpu": _nwpu,
    "jhu": _jhu,
    "coco": lambda: _own({"annotations.json": _coco()}),
    "coco in splits": lambda: {
        **images("train/"), **images("valid/"), "train/_annotations.coco.json": _coco(),
            "valid/annotations.json": _coco(),
    },
    "labelme": lambda: _own({f"{name[:-4]}.json": _labelme(name) for name in _NAMES}),
    "sidecars of json": lambda: _own(
        {f"{name[:-4]}.json": {"points": POINTS, "boxes": BOXES, "labels": ["head", "head", "car"],
            **_SIZE} for name in _NAMES}
    ),
    "sidecars of text": lambda: _own({f"{name[:-4]}.txt": "3 4\n20 11\n" for name in _NAMES}),
    "csv": lambda: _own({"annotations.csv": "image,x,y\n" + _rows("{n},{x},{y}\n")}),
    "csv of boxes": lambda: _own({"annotations.csv": _BOX_ROWS}),
    "csv without a header": lambda: _own({"annotations.csv": _rows("{n},{x},{y}\n")}),
    "jsonl": lambda: _own({"annotations.jsonl": _rows('{{"image": "{n}", "x": {x}, "y": {y}, "label": "head"}}\n')}),
    "jsonl an image": lambda: _own(
        {"annotations.jsonl": "".join(f'{{"image": "{name}", "points": {POINTS}}}\n' for name in _NAMES)}
    ),
    "lists": lambda: _own(
        {"annotations.csv": _rows("{n},{x},{y}\n"), "train.txt": "a.png\n", "val.txt": "b.png\n", "test.txt": "c.png\n"}
    ),
    "yolo": lambda: {
        **images("images/train/"), **images("images/val/"),
        **{f"labels/{part}/{name[:-4]}.txt": "0 0.3 0.4 0.1 0.1\n" for part in ("train", "val") for name in _NAMES},
        "data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames: [head]\n", "classes.txt": "head\n",
    },
    "voc": lambda: _own({f"{name[:-4]}.xml": _VOC.replace("a.png", name) for name in _NAMES}),
    "cvat": lambda: _own({"annotations.xml": _CVAT}),
    "cvat of a project": lambda: {
        **images("images/train/"), **images("images/default/"),
        "annotations.xml": _CVAT.replace("<image ", '<image subset="train" ', 1),
    },
    "yolo's folders": lambda: {
        **images("images/one/"), **images("images/two/"),
        **{f"labels/{part}/{name[:-4]}.txt": "0 0.3 0.4 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.2 0.2\n" for part in ("one", "two")
            for name in _NAMES},
        "data.yaml": "path: /data\ntrain: [images/one]\nval: mine.txt\nnames: [head]\n",
        "mine.txt": "images/two/a.png\n",
    },
    "label studio": lambda: _own({"export.json": _STUDIO}),
    "via": lambda: _own({"via_region_data.json": _VIA}),
    "via 3": lambda: _own({"via3.json": _via3()}),
    "supervisely": lambda: {**images("img/"), **{f"ann/{name}.json": _supervisely() for name in _NAMES}},
    "cell counter": lambda: _own({f"CellCounter_{name[:-4]}.xml": _CELLS.replace("a.png", name) for name in _NAMES}),
}  # fmt: skip

_EXTRA: dict[str, str] = {
    "train.txt": "a.png\nb.png\n",
    "val.txt": "c.png\n",
    "Test.txt": "c.png\n",
    "valid.list": "./images/c.png\n",
    "classes.txt": "head\ncar\n",
    "annotations.csv": "image,x,y,label\n" + _rows("{n},{x},{y},head\n"),
    "annotations.jsonl": _rows('{{"image": "{n}", "x": {x}, "y": {y}}}\n'),
    "a.txt": "3 4\n",
    "b.json": '{"points": [[1, 2]]}',
}
