"""Which environment variables are set that change what this package does; of secrets only that they are."""

import os
import re
from collections.abc import Mapping

from ..allocator import SETTINGS
from .report import Section, anonymous

_OURS = "SAM_MPROMPT_"
_OTHERS = (
    *("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ENABLE_MPS_FALLBACK"),
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE"),
    *("KMP_AFFINITY", "GOMP_CPU_AFFINITY", "LD_PRELOAD", *SETTINGS, "GLIBC_TUNABLES", "TMPDIR"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "TORCH_HOME", "XDG_CACHE_HOME"),
    *("ACCELERATE_USE_CPU", "WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("PYTHONPATH", "PYTHONHASHSEED", "NO_COLOR", "COLUMNS", "LANG", "LC_ALL"),
)
_SECRET = re.compile("TOKEN|KEY|SECRET|PASSW", re.IGNORECASE)
_ADDRESS = ("MASTER_ADDR", "HF_ENDPOINT")
_LONGEST = 300


def variables(environment: Mapping[str, str] = os.environ) -> Section:
    """Return our own variables, and those of others that change threads, devices, caches or output."""
    ours = sorted(name for name in environment if name.startswith(_OURS))
    names = [*ours, *(name for name in _OTHERS if name in environment)]
    return Section("Variables", {name: _shown(name, environment[name]) for name in names} or {"none": "is set"})


def _shown(name: str, value: str) -> str:
    if _SECRET.search(name):
        return "set, not shown"
    if name in _ADDRESS:  # of a machine, perhaps
        return "set"
    return anonymous(value)[:_LONGEST] if value else "empty"
