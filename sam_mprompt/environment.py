"""On what this runs: Python, the system, the processor, and the versions of the packages that decide a count. No torch.

Nothing here names a machine, a user or a folder: it is written into adapters and pasted into bug reports.
"""

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "opencv": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "pillow": ("pillow",),
    "timm": ("timm",),
    "peft": ("peft",),
    "accelerate": ("accelerate",),
    "safetensors": ("safetensors",),
    "huggingface-hub": ("huggingface-hub",),
    "transformers": ("transformers",),
    "pydantic": ("pydantic",),
    "onnx": ("onnx",),
    "onnxscript": ("onnxscript",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    "openvino": ("openvino",),
}
"""What is called so here, and the distributions that may bring it."""

_DECIDE = ("torch", "torchvision", "numpy", "opencv", "pillow", "timm", "peft", "accelerate")
"""Packages whose version may change what a training comes to."""


def installed(name: str) -> list[str]:
    """Return what of a package is installed, as "VERSION", or "DISTRIBUTION VERSION" where several may bring it.

    `name` is a key of `PACKAGES`. More than one entry is a fault in itself: they overwrite each other's files.
    """
    found = []
    for distribution in PACKAGES[name]:
        with suppress(PackageNotFoundError):
            number = version(distribution)
            found.append(number if len(PACKAGES[name]) == 1 else f"{distribution} {number}")
    return found


def cores_given() -> float:
    """Return how many processor cores this process may use: those it is bound to, or less where a container says so."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(bound, cores_of_container() or bound)


def cores_of_container(cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the cores that a container's limit on time comes to, by both versions of control groups; None for none."""
    with suppress(OSError, ValueError):
        share, of = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return int(share) / int(of)
    with suppress(OSError, ValueError):
        most, each = (int((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text("ascii")) for name in ("quota", "period"))
        return most / each if most > 0 else None
    return None


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the processor is called, as far as the system tells; else its architecture."""
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return what an x86 processor's instructions are called, as far as the system tells: on Linux, else none."""
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "flags":
                return frozenset(value.split())
    return frozenset()


def training_environment(device: str, threads: int, processes: int = 1) -> dict[str, object]:
    """Return what a training's record says of where it ran: the same seed gives the same bits where this is the same.

    Args:
        device: what it computed on, "cpu" or what the GPU is called.
        threads: that torch computed with on the CPU.
        processes: that trained together.
    """
    packages = {name: " and ".join(found) for name in _DECIDE if (found := installed(name))}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": device,
        "threads": threads,
        "processes": processes,
        "packages": packages,
    }


def python_and_system() -> dict[str, str]:
    """Return Python and the system by name and version, for a report; not what the machine is called."""
    bits = "64-bit" if sys.maxsize > 2**32 else "32-bit"
    inside = "in a virtual environment" if sys.prefix != sys.base_prefix else "outside a virtual environment"
    return {
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {bits}, {inside})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}{_libc()}",
        "processor": processor(),
    }


def _libc() -> str:
    name, number = platform.libc_ver()
    return f", {name} {number}" if name else ""
