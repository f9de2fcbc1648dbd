"""The Python interface: arguments of other types, out of range, with contents that cannot be."""

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from . import small
from .attempt import Attempt
from .dice import NUMBERS, Dice

IMPORTS = ("sam_mprompt.counting.counter", "PIL.Image")


def prepare(folder: Path) -> None:
    """Write two adapters of one base, and a picture."""
    import numpy as np
    from PIL import Image

    small.write_base(folder)
    small.write_recipe(folder)
    small.write_adapter(folder)
    small.write_adapter(folder, name="other")
    Image.fromarray(np.zeros((70, 90, 3), np.uint8)).save(folder / "a.png")


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Call one function of the interface with one or two strange arguments."""
    (folder / "text.png").write_text("text")
    (folder / "loop.png").symlink_to("loop.png")
    kind, call = dice.pick(_CALLS)
    given: list[str] = []

    def odd(value: Any) -> Any:
        given.append(repr(value)[:120])
        return value

    run = call(dice, shared, odd)
    return Attempt(f"{kind} {'; '.join(given).encode('ascii', 'backslashreplace').decode()}", run)


def _load(dice: Dice, shared: Path, odd: Callable[[Any], Any]) -> Callable[[], Any]:
    import torch

    import sam_mprompt

    options: dict[str, Any] = {"device": "cpu"}
    adapter: Any = str(shared / "adapter") if dice.chance(0.7) else odd(_path(dice, shared))
    key = dice.pick(("device", "base", "precision", "device"))
    values: dict[str, Any] = {
        "device": lambda: dice.pick((0, 1, -1, 99, True, 1.5, "", "cpu", "CPU", "gpu", "cuda", "cuda:0,1", "mps",
        "meta", torch.device("cpu"),
                                     torch.device("meta"), [], None, b"cpu", dice.word())),
        "base": lambda: _path(dice, shared),
        "precision": lambda: dice.pick(("no", "fp16", "bf16", "float16", "", None, 16, torch.float16, [], dice.word())),
    }  # fmt: skip
    options[key] = odd(values[key]())
    return lambda: sam_mprompt.load(adapter, **options).count(shared / "a.png")


def _count(dice: Dice, shared: Path, odd: Callable[[Any], Any]) -> Callable[[], Any]:
    image = odd(_image(dice, shared))
    options = {"adapter": odd(_name(dice))} if dice.chance(0.3) else {}
    return lambda: _counter(shared).count(image, **options).points(odd(_number(dice)) if dice.chance(0.3) else 0.0)


def _count_many(dice: Dice, shared: Path, odd: Callable[[Any], Any]) -> Callable[[], Any]:
    images: Any = odd([_image(dice, shared) for _ in range(dice.choice((0, 1, 2, 3)))])
    if dice.chance(0.2):
        images = odd(
            dice.pick(
                ("a.png", b"x", 3, None, {}, {"a.png": 1}, shared, iter([]), (shared / "a.png" for _ in range(2)))
            )
        )
    options: dict[str, Any] = {}
    if dice.chance(0.5):
        options["batch_size"] = odd(_number(dice))
    if dice.chance(0.2):
        options["adapter"] = odd(_name(dice))
    failed: list[Any] = []
    if dice.chance(0.5):
        options["on_error"] = lambda image, error: failed.append((image, error))
    return lambda: list(_counter(shared).count_many(images, **options))


def _use(dice: Dice, shared: Path, odd: Callable[[Any], Any]) -> Callable[[], Any]:
    name = odd(_name(dice))
    return lambda: _loaded(shared).use(name)


def _load_adapter(dice: Dice, shared: Path, odd: Callable[[Any], Any]) -> Callable[[], Any]:
    adapter = odd(_path(dice, shared)) if dice.chance(0.4) else shared / "other"
    name = odd(_name(dice))

    def run() -> None:
        counter = _loaded(shared)
        counter.load_adapter(adapter, name=name)
        counter.use(name)
        counter.count(shared / "a.png")
        assert name in counter.adapters

    return run


def _result(dice: Dice, shared: Path, odd: Callable[[Any], Any]) -> Callable[[], Any]:
    import numpy as np

    from sam_mprompt.counting.result import CountResult

    density = np.zeros((9, 12), np.float32)
    density[4, 5] = dice.pick((0.0, 3.4, -2.0, 1e6))
    result = CountResult(
        density,
        None,
        (70, 90),
        (8.0, 8.0),
        image=odd(dice.pick((None, shared / "a.png", Path("gone.png"), Path("text.png")))),
    )
    threshold = odd(_number(dice))
    return lambda: (result.points(threshold), result.overlay())


_CALLS = (
    ("load", _load), ("count", _count), ("count", _count), ("count_many", _count_many), ("count_many", _count_many),
    ("use", _use),
    ("load_adapter", _load_adapter), ("a result", _result),
)  # fmt: skip


@cache
def _counter(shared: Path) -> Any:
    """Return a counter that no input changes."""
    return _loaded(shared)


def _loaded(shared: Path) -> Any:
    import sam_mprompt

    counter = sam_mprompt.load(shared / "adapter", device="cpu")
    counter.load_adapter(shared / "other", name="b")
    return counter


def _path(dice: Dice, shared: Path) -> Any:
    return dice.pick(
        ("adapter", "demo", Path(), shared, shared / "a.png", shared / "other", str(shared / "base.safetensors"),
        "random:tiny", None, 3, b"x",
         [], Path("a" * 300), "x\0y", Path("x\0"), "loop.png", "loop.png/x", "hf:a/b", "hf:",
             "random:tiny@" + "9" * 5000, dice.word())
    )  # fmt: skip


def _name(dice: Dice) -> Any:
    return dice.pick(
        (
            "b",
            "c",
            "default",
            "",
            None,
            3,
            [],
            {},
            ("b",),
            b"b",
            "a.b",
            "a b",
            "x" * 3000,
            "\ud800",
            float("nan"),
            dice.word(),
        )
    )


def _number(dice: Dice) -> Any:
    return dice.pick((*NUMBERS[:12], 1, 2, 0.5, 1.5, "2", None, [], True, float("nan"), float("inf"), 10**400))


def _image(dice: Dice, shared: Path) -> Any:
    import numpy as np
    from PIL import Image

    def closed() -> Image.Image:
        image = Image.open(shared / "a.png")
        image.close()
        return image

    def array() -> Any:
        shape = [dice.choice((0, 1, 2, 3, 4, 17, 90)) for _ in range(dice.choice((0, 1, 2, 3, 3, 3, 4)))]
        kind = dice.pick(
            (np.uint8, np.uint8, np.uint8, np.float32, np.int64, bool, object, "U1", np.uint16, np.complex64)
        )
        with contextlib.suppress(ValueError, TypeError):
            return np.zeros(shape, kind)
        return None

    return dice.pick(
        (
            lambda: shared / "a.png",
            lambda: dice.pick(
                (
                    "text.png",
                    "loop.png",
                    "gone.png",
                    ".",
                    "",
                    "x\0",
                    "a" * 300,
                    b"a.png",
                    "/dev/null",
                    "a.png/b",
                    "\udcff.png",
                )
            ),
            array,
            lambda: np.zeros((70, 90, 3), np.uint8)[::-2, ::2],
            lambda: np.asfortranarray(np.zeros((70, 90, 3), np.uint8)),
            lambda: np.broadcast_to(np.uint8(3), (20, 30, 3)),
            lambda: np.ma.masked_array(np.zeros((20, 30, 3), np.uint8)),
            lambda: np.zeros((9, 9), dtype=[("r", "u1")]),
            lambda: Image.new(
                dice.pick(("RGB", "L", "1", "P", "RGBA", "CMYK", "I", "F", "LAB", "HSV", "I;16", "LA", "YCbCr")),
                (40, 30),
            ),
            lambda: Image.new("RGB", dice.pick(((0, 0), (0, 5), (5, 0), (1, 1), (1, 500), (3000, 1)))),
            closed,
            lambda: dice.pick((None, 3, [], [[1, 2]], {}, object(), Path, float("nan"), memoryview(b"abc"))),
        )
    )()
