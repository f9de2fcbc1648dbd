"""Whether the main job works here: counting, keeping files, a training step, an exported file. Under a minute in all.

What is counted and trained on comes with the package or is painted; nothing is fetched.
"""

import math
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.cache.hashes import cache_folder
from ..errors import RunError, SamMpromptError
from ..files import remove, write_text
from ..resources import bundled
from .report import Check, Problem, anonymous
from .software import LITE

if TYPE_CHECKING:
    from ..arrays import ByteImage

EXAMPLE, COUNTED = "street.jpg", 200.67
"""A bundled picture, and what the demo adapter counted in it when this was written."""

_TOLERANCE = 0.01
"""Of a count: decoders of JPEG and kernels differ by less."""

POOLING, POOLED = Path(__file__).with_name("pooling.onnx"), 38.2935
"""An exported file of half a kilobyte whose counts are known, and what it counts in the picture of `_gradient`."""

_SMALL = (
    *("synthetic.train=2", "synthetic.val=1", "synthetic.size=96", "synthetic.max_heads=20"),
    *("data.crop=64", "data.min_side=64", "infer.tile=96", "infer.overlap=16"),
    *("model.stem_channels=8", "model.stem_blocks=0", "tuning.bottleneck=8"),
    *("train.batch_size=2", "train.epochs=1", "train.warmup_epochs=0", "train.preview_every=0"),
)
"""Keys of a recipe with which a training of one step ends in seconds."""

_FRAMES = 4


TESTS = (
    *("keeping files", "counting with an ONNX file", "counting with the demo adapter"),
    *("a training step", "exporting what was trained"),
)
"""The self-tests' names, in their order."""


class NotHereError(Exception):
    """What a self-test needs is not installed, or not part of this distribution."""


class SelfTests:
    """The self-tests of one examination, in a folder that goes again when it ends.

    Args:
        of: the distribution, see `software.this_distribution`.
        folder: where trainings and exported files go.
    """

    def __init__(self, of: str, folder: Path) -> None:
        self.of, self.folder = of, folder
        self._run = folder / "run"

    def all(self) -> dict[str, Callable[[], str]]:
        """Return the self-tests by their names in `TESTS`; each returns what came out, and raises where it failed."""
        of_whole = self.count_with_an_adapter, self.train_a_step, self.export_what_was_trained
        return dict(zip(TESTS, (keep_files, count_with_a_file, *of_whole), strict=True))

    def count_with_an_adapter(self) -> str:
        """Count a bundled picture with the bundled adapter, on the CPU and on the GPU that counting would take."""
        self._whole()
        from ..counting.counter import load
        from ..counting.torch_backend import choose_device

        adapter = bundled("adapters") / "demo"
        chosen = str(choose_device(None))
        said = []
        for device in dict.fromkeys(("cpu", chosen)):
            found = load(adapter, device=device).count(adapter / "examples" / EXAMPLE).count
            _expect_near(found, COUNTED, f"heads in the bundled picture on {device}")
            said.append(f"{found:.2f} on {device}")
        return f"{', '.join(said)}; expected {COUNTED:.2f}"

    def train_a_step(self) -> str:
        """Train one step on two painted scenes, keep the adapter, and compare what had to change and what not to."""
        self._whole()
        import torch

        from ..recipe.schema import load_recipe
        from ..training.run import RunFolder
        from ..training.session import TrainingSession
        from ..training.splits import TrainingData
        from ..tuning.selection import base_tensors

        recipe = load_recipe("demo", (*_SMALL, f"model.base={_small_base(self.folder / 'base.safetensors')}"))
        session = TrainingSession.open(recipe, TrainingData.open(recipe, None), RunFolder(self._run))
        frozen = {name: tensor.clone() for name, tensor in base_tensors(session.counter.encoder).items()}
        trained = {n: p.detach().clone() for n, p in session.counter.named_parameters() if p.requires_grad}
        outcome = session.fit()
        if outcome.best is None or not math.isfinite(outcome.best.mae):
            raise RunError("Expected an error of validation after a step, got none that is finite.")
        if not all(torch.equal(base_tensors(session.counter.encoder)[name], old) for name, old in frozen.items()):
            raise RunError("Expected the base to stay as it was, and it changed.")
        changed = sum(not torch.equal(p, trained[n]) for n, p in session.counter.named_parameters() if n in trained)
        if not changed:
            raise RunError("Expected a step to change what trains, and nothing changed.")
        return f"{changed} of {len(trained)} tensors moved on {session.accelerator.device}, an adapter was written"

    def export_what_was_trained(self) -> str:
        """Write the trained adapter as an ONNX file, which is compared with PyTorch before it stands."""
        self._whole()
        for module in ("onnx", "onnxscript", "onnxruntime"):
            _needs(module)
        from ..adapter.folder import AdapterFolder
        from ..deploy.export import export

        if not (self._run / "adapter").is_dir():
            raise NotHereError("there is no trained adapter to export")
        folder = AdapterFolder.read(self._run / "adapter")
        done = export(folder, self.folder / "trained.onnx", tile=64, images=[gradient(64, 64)])
        return f"{done.path.stat().st_size / 1e6:.1f} MB, count off by {done.parity.count:.0e} of PyTorch's"

    def _whole(self) -> None:
        if self.of == LITE:
            raise NotHereError("this distribution counts with exported files alone")


def self_tests(of: str) -> Iterator[Check]:
    """Yield how each self-test of a distribution ended, as soon as it has."""
    with tempfile.TemporaryDirectory(prefix="sam-mprompt-") as folder:
        for name, test in SelfTests(of, Path(folder)).all().items():
            yield performed(name, test)


def performed(name: str, test: Callable[[], str]) -> Check:
    """Run a self-test, whatever it raises."""
    began = time.perf_counter()
    try:
        said = test()
    except NotHereError as error:
        return Check(name, "left out", str(error))
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        trace = tuple(f"{_module(frame.filename)}, line {frame.lineno}, in {frame.name}" for frame in frames)
        return Check(name, "failed", anonymous(told), time.perf_counter() - began, trace)
    return Check(name, "passed", said, time.perf_counter() - began)


def problems(checks: Sequence[Check]) -> list[Problem]:
    """Return what failed of self-tests: each stops the main job."""
    failed = [check for check in checks if check.outcome == "failed"]
    said = (f"The self-test '{check.name}' failed: {check.said}" for check in failed)
    return [Problem(RunError(one, about="self-test"), stops=True) for one in said]


def keep_files() -> str:
    """Write a file into the cache and replace it, as everything is kept; a kill leaves the old one or the new one."""
    folder = cache_folder()
    if folder is None:
        raise NotHereError("this user has no home, so that nothing is remembered")
    file = folder / f"doctor.{os.getpid()}.txt"
    try:
        for text in ("old", "new"):
            write_text(file, text)
            if file.read_text(encoding="utf-8") != text:
                raise RunError(f"Expected '{text}' in a file that was written and flushed, got something else.")
    finally:
        with suppress(OSError, SamMpromptError):  # where it could not be written, that is what is told
            remove(file)
    return "a file was written, replaced and removed in the cache"


def count_with_a_file() -> str:
    """Count a picture whose count is known with an exported file, by every runtime that is here."""
    from ..deploy.load import load

    runtimes = {"cpu": "onnxruntime", "openvino": "openvino"}
    here = {device: module for device, module in runtimes.items() if find_spec(module) is not None}
    if not here:
        raise NotHereError("neither onnxruntime nor openvino is installed")
    said = []
    for device, module in here.items():
        found = load(POOLING, device=device).count(gradient(48, 64)).count
        _expect_near(found, POOLED, f"heads by {module}")
        said.append(f"{found:.4f} by {module}")
    return f"{', '.join(said)}; expected {POOLED:.4f}"


def gradient(height: int, width: int) -> "ByteImage":
    """Return a picture without chance or a decoder in it, uint8 RGB (H, W, 3)."""
    import numpy as np

    rows, columns = np.indices((height, width))
    return np.stack([rows * 4 % 256, columns * 3 % 256, (rows + columns) * 2 % 256], axis=2).astype(np.uint8)


def _small_base(path: Path) -> Path:
    """Write the weights of an encoder of SAM's kind that nobody trained, so small that exporting it takes seconds."""
    from ..models.sam_config import SamConfig
    from ..models.sam_encoder import SamEncoder
    from ..tensor_files import write_tensors

    config = SamConfig(
        embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16, window_size=4, grid=8
    )
    write_tensors(path, SamEncoder.random(config, seed=0).state_dict())
    return path


def _expect_near(found: float, expected: float, what: str) -> None:
    if not abs(found - expected) <= _TOLERANCE * expected:
        raise RunError(f"Expected {expected:.2f} {what}, got {found:.2f}.")


def _needs(module: str) -> None:
    if find_spec(module) is None:
        raise NotHereError(f"the package '{module}' is not installed")


def _module(file: str) -> str:
    """Return a file of a traceback without the folders that this installation happens to lie in."""
    parts = Path(file).parts
    after = max((at for at, part in enumerate(parts) if part in ("site-packages", "dist-packages")), default=-1)
    if after < 0 and "sam_mprompt" in parts:
        after = parts.index("sam_mprompt") - 1
    return "/".join(parts[after + 1 :]) if after >= 0 else parts[-1]
