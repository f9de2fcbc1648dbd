"""What there is to train with: processor, memory, GPU, and the bases that are on this machine."""

from dataclasses import dataclass

import torch

from ..bases.locate import listing
from ..environment import instructions
from ..memory import whole_memory


@dataclass(frozen=True)
class Machine:
    """A machine as the rules see it.

    Attributes:
        cores: processor cores that a training uses.
        memory_gb: main memory, or the share of it that this process may have.
        gpu: name of the GPU, or "".
        gpu_gb: its memory.
        bases: names of the registered bases that are here.
        bfloat16: whether the processor multiplies bfloat16, by the instructions with which that was measured to pay:
            avx512_bf16, which every processor with AMX has too.
    """

    cores: int
    memory_gb: float
    gpu: str = ""
    gpu_gb: float = 0.0
    bases: tuple[str, ...] = ()
    bfloat16: bool = False

    @property
    def training_gb(self) -> float:
        """Memory of what trains: the GPU's where there is one."""
        return self.gpu_gb if self.gpu else self.memory_gb


def this_machine() -> Machine:
    """Look at the machine that this runs on."""
    gpu, memory = "", 0.0
    if torch.cuda.is_available():
        found = torch.cuda.get_device_properties(0)
        gpu, memory = str(found.name), found.total_memory / 1e9
    ready = tuple(status.checkpoint.name for status in listing() if status.state == "ready")
    narrow = "avx512_bf16" in instructions()
    return Machine(torch.get_num_threads(), (whole_memory() or 0) / 1e9, gpu, memory, ready, narrow)
