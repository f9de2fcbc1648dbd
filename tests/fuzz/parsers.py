"""Every parser by the name of its corpus, `FAMILY/NAME`: what `guided` runs and `corpus/` has files for."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path, PurePath

from sam_mprompt.data.formats.labels import Marks
from sam_mprompt.data.formats.tools.families import FAMILIES
from sam_mprompt.data.formats.tools.family import Collection, Family
from sam_mprompt.errors import UsageError

from . import annotations, counts, exported, images, recipes, regions
from .parser import Parser

_MOST_MARKS = 3
"""Images of a file of many whose marks are placed: the others are read alike."""

_PLACES = {
    "yolo": ("labels/a", "images/"),
    "supervisely": ("ann/a.png", "img/"),
    "cell-counter": ("CellCounter_a", ""),
}
"""Where a tool's file lies, and its images: by default both beside each other, of one name."""


def _of_tool(family: Family) -> Parser:
    called, folder = _PLACES.get(family.name, ("a", ""))
    depth = len(PurePath(called).parts)
    read = partial(_annotated, family, depth=depth, image=f"{folder}a.png")
    return Parser(read, family.suffixes, called, partial(annotations.images, folder))


def _annotated(family: Family, path: Path, *, depth: int, image: str) -> None:
    """Read a file of one tool as that of one image and as that of many, whichever of them it is taken for."""
    family.kind_of(path)
    readers = [read for read in (family.read_one, family.read_many) if read is not None]
    refused = []
    for read in readers:
        try:
            _placed(read(path), path.parents[depth - 1] / image)
        except UsageError as error:
            refused.append(error)
    if len(refused) == len(readers):
        raise refused[0]


def _placed(found: Marks | Collection, image: Path) -> None:
    """Decide which marks are heads, and place them in an image."""
    from sam_mprompt.data.formats.entries import Entry, collect
    from sam_mprompt.data.formats.labels import decide

    each = [found] if isinstance(found, Marks) else [*found.marks.values(), *found.slices.values()]
    labels = {label for marks in each for label in marks.labels}
    with suppress(UsageError):
        decide(labels, "it")
    label = min((label for label in labels if label is not None), default=None)
    chosen = decide(labels, "it", label=label) if label is not None else None
    for marks in each[:_MOST_MARKS]:
        samples, problems = collect([Entry(image, partial(marks.heads, chosen))])
        for sample in samples:
            annotations.sound(sample)
        for why in problems.malformed.values():
            raise UsageError(why)


def _of_dataset(layout: str, file: str) -> Parser:
    """One file of a dataset, which is read as a whole."""
    place = PurePath(file)
    return Parser(
        partial(_whole, len(place.parts)), (place.suffix,), str(place.with_suffix("")), annotations.LAYOUTS[layout]
    )


def _whole(depth: int, path: Path) -> None:
    if not annotations.read_samples(path.parents[depth - 1]):
        raise UsageError("no split can be read")


def _recipe(path: Path) -> None:
    recipes.read(str(path), [], pretraining=False, outlined=False)


def _recipe_of_pretraining(path: Path) -> None:
    recipes.read(str(path), [], pretraining=True, outlined=False)


def _variants(path: Path) -> None:
    from sam_mprompt.ablation.variants import load_ablation

    load_ablation(str(path))


def _registry(path: Path) -> None:
    from sam_mprompt.bases.locate import listing

    listing(registry=path)


def _lines(path: Path) -> list[str]:
    """Return lines as a command gets its words: of any characters, bytes that are no text among them."""
    return path.read_bytes().decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")


def _overrides(path: Path) -> None:
    """Take each line for a KEY=VALUE on top of a recipe."""
    from sam_mprompt.recipe.schema import load_recipe

    load_recipe("demo", _lines(path))


def _words(path: Path) -> None:
    """Take each line for what one word of a command means: columns, a distance in time, a repository, a video."""
    from sam_mprompt.bases.hub import hub_repo
    from sam_mprompt.counting.video.every import Every
    from sam_mprompt.counting.video.names import is_video, redacted
    from sam_mprompt.recipe.columns import parse_columns

    read: tuple[Callable[[str], object], ...] = (parse_columns, Every.of, hub_repo, is_video, redacted)
    for word in _lines(path):
        for meant in read:
            with suppress(UsageError) if meant is not parse_columns else suppress(ValueError):
                meant(word)


def _config(path: Path) -> None:
    """Put the adapter that a configuration asks for into a small encoder of shapes alone."""
    import torch

    from sam_mprompt.adapter.counter_file import read_json
    from sam_mprompt.adapter.inside import outlined
    from sam_mprompt.models.sam_config import SamConfig
    from sam_mprompt.models.sam_encoder import SamEncoder

    from .bases import CONFIG

    config = read_json(path)
    with torch.device("meta"):
        encoder = SamEncoder(SamConfig(**CONFIG))
    outlined(encoder, config)


def _counter_file(path: Path) -> None:
    from sam_mprompt.adapter.counter_file import read_counter_file

    read_counter_file(path.parent)


def _calibration(path: Path) -> None:
    from sam_mprompt.adapter.calibration_file import read_calibration
    from sam_mprompt.counting.intervals import Calibration

    known = read_calibration(path.parent)
    Calibration.fit(known.heads, known.counted)


def _scope(path: Path) -> None:
    from sam_mprompt.adapter.scope_file import read_scope

    read_scope(path.parent)


def _licences(path: Path) -> None:
    from sam_mprompt.adapter.licences_file import read_licences

    read_licences(path.parent)


def _tensors(path: Path) -> None:
    from sam_mprompt.tensor_files import read_shapes, read_tensors

    with suppress(UsageError):
        read_shapes(path)
    read_tensors(path)


def _checkpoint(path: Path) -> None:
    from .bases import build

    build(path)


def _metadata(path: Path) -> None:
    from sam_mprompt.deploy.metadata import Metadata

    known = Metadata.from_json(path.read_text(encoding="utf-8", errors="replace"), str(path))
    Metadata.from_json(known.to_json(), "itself")


def _archive(path: Path) -> None:
    from sam_mprompt.deploy.metadata import Metadata
    from sam_mprompt.deploy.openvino_archive import read_archive

    Metadata.from_json(read_archive(path).metadata, str(path))


def _cached(path: Path) -> None:
    from sam_mprompt.data.cache.arrays import is_intact, read_cached

    is_intact(path)
    read_cached(path).sum()


def _mask(path: Path) -> None:
    from sam_mprompt.data.masks import read_mask

    read_mask(path, (24, 32))


def _records(path: Path) -> None:
    from sam_mprompt.ablation.records import append_record, read_records

    for record in read_records(path):
        append_record(path, record)


def _series(path: Path) -> None:
    from sam_mprompt.cli.video_rows import Columns, rows_in

    rows_in(path, Columns(smoothed=True))


@cache
def parsers() -> Mapping[str, Parser]:
    """Return every parser by name."""
    return {
        **{f"annotations/{name}": _of_tool(family) for name, family in FAMILIES.items()},
        "datasets/shanghaitech": _of_dataset("shanghaitech", "train_data/ground-truth/GT_IMG_1.mat"),
        "datasets/qnrf": _of_dataset("qnrf", "Train/img_0001_ann.mat"),
        "datasets/nwpu": _of_dataset("nwpu", "jsons/0001.json"),
        "datasets/nwpu-list": _of_dataset("nwpu", "train.txt"),
        "datasets/jhu": _of_dataset("jhu", "train/gt/0001.txt"),
        "datasets/jhu-labels": _of_dataset("jhu", "train/image_labels.txt"),
        "datasets/list": _of_dataset("lists", "train.txt"),
        "datasets/yolo-yaml": _of_dataset("yolo's folders", "data.yaml"),
        "datasets/yolo-classes": _of_dataset("yolo", "classes.txt"),
        "images/image": Parser(partial(images.read, stretch=False), (".png",)),
        "images/mask": Parser(_mask, (".png",)),
        "recipes/recipe": Parser(_recipe, (".toml",)),
        "recipes/pretraining": Parser(_recipe_of_pretraining, (".toml",)),
        "recipes/variants": Parser(_variants, (".toml",)),
        "recipes/registry": Parser(_registry, (".toml",)),
        "recipes/overrides": Parser(_overrides, (".txt",)),
        "recipes/words": Parser(_words, (".txt",)),
        "adapters/config": Parser(_config, (".json",)),
        "adapters/counter": Parser(_counter_file, (".json",), "counter"),
        "adapters/calibration": Parser(_calibration, (".json",), "calibration"),
        "adapters/scope": Parser(_scope, (".json",), "scope"),
        "adapters/licences": Parser(_licences, (".json",), "licences"),
        "adapters/tensors": Parser(_tensors, (".safetensors",)),
        "bases/checkpoint": Parser(_checkpoint, (".safetensors", ".pt")),
        "exported/metadata": Parser(_metadata, (".json",)),
        "exported/archive": Parser(_archive, (".openvino",)),
        "exported/onnx": Parser(partial(exported.count_with, device="cpu"), (".onnx",)),
        "counts/csv": Parser(counts.go_on, (".csv",)),
        "counts/series": Parser(_series, (".csv",)),
        "regions/regions": Parser(regions.count_in, (".csv",)),
        "saved/array": Parser(_cached, (".npy",)),
        "saved/records": Parser(_records, (".jsonl",)),
    }
