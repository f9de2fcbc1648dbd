"""Processor, threads, memory, GPU and disks, as much of them as this process may have."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ..bases.locate import checkpoint_folder
from ..data.cache.hashes import cache_folder
from ..environment import cores_given, cores_of_container
from ..errors import RunError
from ..memory import available_memory, whole_memory
from .report import Problem, Section, anonymous

_LEAST_MEMORY, _FEW_MEMORY = 0.5e9, 2e9
_LEAST_DISK, _FEW_DISK = 0.1e9, 1e9
_FEW_SHARED = 256e6
_SHARED = Path("/dev/shm")
_MOUNTS = Path("/proc/self/mounts")


def machine() -> Section:
    """Return cores, threads, memory, devices and libraries of linear algebra; all that can be had without torch."""
    rows, problems = {"cores": _cores()}, []
    free, whole = available_memory(), whole_memory()
    rows["memory"] = f"{_size(whole)}, of which {_size(free)} can be had"
    if free is not None and free < _FEW_MEMORY:
        said = f"Expected {_size(_FEW_MEMORY)} of memory or more, and {_size(free)} can be had."
        problems.append(Problem(RunError(said, about="little memory"), stops=free < _LEAST_MEMORY))
    if _SHARED.is_dir():
        used = shutil.disk_usage(_SHARED)
        rows["/dev/shm"] = f"{_size(used.total)}, {_size(used.free)} free"
        if used.free < _FEW_SHARED:
            said = f"Expected {_size(_FEW_SHARED)} free in /dev/shm, through which data workers hand batches on, got"
            problems.append(Problem(RunError(f"{said} {_size(used.free)}.", about="shared memory"), stops=False))
    rows |= _libraries()
    with suppress(Exception):  # a torch that cannot be imported is told among the packages
        import torch

        rows |= _of_torch(torch)
        problems += _too_many(torch.get_num_threads())
    return Section("Machine", rows, problems)


def disks() -> Section:
    """Return what is free where files are kept, of what kind the file systems are, and where nothing can be written."""
    rows, problems = {}, []
    for name, folder, needed in _folders():
        there = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
        if there is None:
            rows[name] = "there is no such place"
            continue
        free = shutil.disk_usage(there).free
        writable = os.access(there, os.W_OK | os.X_OK)
        where = "" if name == "current folder" else f"{anonymous(folder)}: "
        kind = file_system(there)
        rows[name] = f"{where}{_size(free)} free{f' ({kind})' if kind else ''}{'' if writable else ', read only'}"
        if needed and not writable:
            said = f"The {name} '{anonymous(folder)}' cannot be written by this user."
            problems.append(Problem(RunError(said, about="cache folder"), stops=False))
        elif free < _FEW_DISK:
            said = f"Expected {_size(_FEW_DISK)} free or more in the {name}, got {_size(free)}."
            problems.append(Problem(RunError(said, about="full disk"), stops=free < _LEAST_DISK))
    return Section("Disks", rows, problems)


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Return the kind of file system that a folder is on, as far as the system tells; "" else."""
    best, kind = -1, ""
    with suppress(OSError, RuntimeError):
        inside = folder.resolve()
        for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            point = Path(fields[1].replace("\\040", " ")) if len(fields) > 2 else None
            if point is not None and inside.is_relative_to(point) and len(point.parts) >= best:
                best, kind = len(point.parts), fields[2]
    return kind


def _folders() -> Iterator[tuple[str, Path, bool]]:
    """Yield what is written to: a name, the folder, and whether work goes on without it but slower."""
    cache = cache_folder()
    if cache is not None:
        yield "cache", cache, True
    with suppress(RuntimeError):  # a user without a home
        yield "bases", checkpoint_folder(), False
    with suppress(Exception):
        from huggingface_hub.constants import HF_HUB_CACHE

        yield "Hub's cache", Path(HF_HUB_CACHE), False
    yield "temporary files", Path(tempfile.gettempdir()), True
    with suppress(OSError):  # it was deleted
        yield "current folder", Path.cwd(), False


def _cores() -> str:
    limit = cores_of_container()
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = f"{os.cpu_count()} of the machine, {bound} of them given to this process"
    return told if limit is None else f"{told}, the time of {limit:g} by the container's limit"


def _too_many(threads: int) -> Iterator[Problem]:
    given = cores_given()
    if threads > max(1.0, given):
        said = f"Expected as many threads as there are cores, got {threads} for {given:g}: they wait for each other."
        yield Problem(RunError(said, about="threads", cores=max(1, int(given))), stops=False)


def _libraries() -> dict[str, str]:
    rows = {}
    with suppress(Exception):
        import numpy as np

        built: Any = np.show_config(mode="dicts")
        blas = built["Build Dependencies"]["blas"]
        rows["BLAS of NumPy"] = f"{blas.get('name')} {blas.get('version')}"
    with suppress(Exception):
        import cv2

        rows["threads of OpenCV"] = str(cv2.getNumThreads())
    with suppress(Exception):
        rows["ONNX Runtime"] = ", ".join(import_module("onnxruntime").get_available_providers())
    return rows


def _of_torch(torch: Any) -> dict[str, str]:
    told = torch.__config__.show()
    named = [part.partition("=")[2] for part in told.replace("\n", ",").split(",") if "BLAS_INFO=" in part]
    extensions = torch.backends.cpu.get_cpu_capability()
    rows = {
        "threads of torch": f"{torch.get_num_threads()}, {torch.get_num_interop_threads()} between operations",
        "BLAS of torch": f"{named[0] if named else 'not told'}, for {extensions}",
        "torch is built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else _other_build(torch),
    }
    return rows | _devices(torch)


def _other_build(torch: Any) -> str:
    return f"ROCm {torch.version.hip}" if torch.version.hip else "CPU"


def _devices(torch: Any) -> dict[str, str]:
    rows = {}
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found = torch.cuda.get_device_properties(number)
        free, whole = torch.cuda.mem_get_info(number)
        kind = f"{found.name}, compute capability {found.major}.{found.minor}"
        rows[f"cuda:{number}"] = f"{kind}, {_size(whole)}, {_size(free)} free"
    if torch.backends.mps.is_available():
        rows["mps"] = "Apple's GPU"
    return rows or {"GPU": "none that torch can use"}


def _size(number: float | None) -> str:
    if number is None:
        return "an unknown amount"
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
