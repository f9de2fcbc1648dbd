"""What several test modules share."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hub_server import Hub, serving
from hypothesis import settings
from PIL import Image

from sam_mprompt.cli.app import main
from sam_mprompt.recipe.schema import load_recipe

# What imports PyTorch is imported where it is used: the process that only hands tests to workers needs none of it.

# The same examples everywhere, however busy the machine: what searches on is tests/fuzz.
settings.register_profile("sam-mprompt", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("sam-mprompt")

REAL_DATA_VARIABLE = "SAM_MPROMPT_REAL_DATA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what forks trainings first and what compiles last.

    A process that is forked after autograd had threads, as after `torch.compile`, cannot compute gradients.
    """
    items.sort(key=lambda item: (not _forks(item), "cpp_compiler" in getattr(item, "fixturenames", ())))


def _forks(item: pytest.Item) -> bool:
    """Whether a test's module takes something from those that fork."""
    taken = vars(getattr(item, "module", object)).values()
    return any(getattr(value, "__module__", "") in ("faults.killing", "faults.pairs") for value in taken)


@pytest.fixture(scope="session")
def cpp_compiler() -> str:
    """Return the C++ compiler that `torch.compile` needs on a CPU; tests that compile skip where there is none."""
    found = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    return found or pytest.skip("torch.compile needs a C++ compiler on a CPU")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real crowd images in official layouts; it never ships, so tests that use it skip elsewhere."""
    folder = os.environ.get(REAL_DATA_VARIABLE)
    if not folder or not (Path(folder) / "shanghaitech").is_dir():
        pytest.skip(f"no real images: set ${REAL_DATA_VARIABLE} to a folder with shanghaitech/ in its official layout")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors: more threads only wait for each other, and on a busy machine for long."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is remembered of datasets goes into a folder of the tests' own, for commands that they start too."""
    os.environ["SAM_MPROMPT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray's own files go into a folder that is removed; what tests have made can be imported by its actors."""
    pytest.importorskip("ray", reason="the extra [ray] brings Ray")
    folder = tempfile.mkdtemp(prefix="ray-")  # the paths of Ray's sockets have to be short
    monkeypatch.setenv("RAY_TMPDIR", folder)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # of the nodes that a test starts; else they wait for other programs
    tests = Path(__file__).resolve().parent
    path = [str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub on this machine; huggingface_hub is told of it as $HF_ENDPOINT and its like tell it when it starts.

    Nobody is logged in, nothing is in its cache, and it uploads as it does where hf_xet is not installed.
    """
    from huggingface_hub import close_session, constants

    with serving() as served:
        told = {"ENDPOINT": served.url, "HF_HUB_CACHE": str(tmp_path / "hub-cache"), "HF_HUB_DISABLE_XET": True}
        told |= {"HF_HUB_OFFLINE": False, "HF_TOKEN_PATH": str(tmp_path / "no-token")}
        told["HUGGINGFACE_CO_URL_TEMPLATE"] = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in told.items():
            monkeypatch.setattr(constants, name, value)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()  # its client reads the proxies once
        yield served
        close_session()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint file of a SAM-style encoder small enough for a test to train on."""
    from safetensors.torch import save_file

    from sam_mprompt.models.sam_encoder import SamConfig, SamEncoder

    path = tmp_path_factory.mktemp("base") / "tiny_sam.safetensors"
    config = SamConfig(
        embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16, window_size=4, grid=8
    )
    save_file(SamEncoder.random(config, seed=3).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def crowd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in the user's own format: 6 train, 3 val and 2 test images of bright squares, with points and boxes."""
    folder = tmp_path_factory.mktemp("crowd")
    rng = np.random.default_rng(0)
    names: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for index, split in enumerate(["train"] * 6 + ["val"] * 3 + ["test"] * 2):
        height, width = (96, 128) if index % 2 else (80, 75)
        image = rng.integers(0, 90, (height, width, 3)).astype(np.uint8)
        points = rng.uniform(4, (width - 4, height - 4), (0 if index == 1 else 3 + 2 * index, 2)).round(1)
        for x, y in points:
            image[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 230
        Image.fromarray(image).save(folder / f"{index}.png")
        boxes = np.concatenate([points - 3, points + 4], axis=1)
        record = {"points": points.tolist(), "boxes": boxes.tolist()}
        (folder / f"{index}.json").write_text(json.dumps(record))
        names[split].append(f"{index}.png")
    for split, images in names.items():
        (folder / f"{split}.txt").write_text("\n".join(images))
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A recipe that trains on `crowd_folder` in a second."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(f"""
dataset = "tiny"
[data]
format = "points"
crop = 64
min_side = 64
[targets]
pseudo_mask = "boxes"
[model]
base = "{tiny_base}"
[tuning]
bottleneck = 8
[loss]
kappa = 1
[train]
epochs = 3
batch_size = 2
lr = 1e-3
ema = 0.9
max_grad_norm = 1.0
validate_every = 1
preview_every = 3
workers = 0
[infer]
tile = 96
overlap = 16
""")
    return path


@dataclass(frozen=True)
class Outcome:
    """How a command of the command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the command line in this process as a user would, and return its exit code and output."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sam-mprompt", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path, crowd_folder: Path) -> Path:
    """A finished run of `tiny_recipe`; tests only read it."""
    from sam_mprompt.training.finetune import finetune
    from sam_mprompt.training.run import RunFolder

    run = tmp_path_factory.mktemp("runs") / "tiny"
    recipe = load_recipe(tiny_recipe)
    finetune(recipe, data=crowd_folder, run=RunFolder(run))
    return run
