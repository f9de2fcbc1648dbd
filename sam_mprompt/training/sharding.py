"""Frozen weights that the processes of a training share out between them (FSDP2), instead of one copy in each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..models.counter import CrowdCounter
from ..models.sam_encoder import SamEncoder

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule


def hide_from_ddp(counter: CrowdCounter) -> None:
    """Keep DDP, which wraps a counter afterwards, from holding the frozen weights of blocks for as long as it lives."""
    names = [
        name for name, parameter in counter.named_parameters() if ".blocks." in name and not parameter.requires_grad
    ]
    nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(counter, names)


def shard_frozen(counter: CrowdCounter, processes: int, device: str) -> None:
    """Leave each process its part of the frozen weights of each block, which come together while the block runs.

    What trains stays whole in each process, and so do the patch embedding, the positions and the neck.

    Args:
        counter: on its device, with a SAM encoder, wrapped after `hide_from_ddp`.
        processes: how many train together.
        device: type of their devices.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard  # nearly a second that few trainings need

    mesh = init_device_mesh(device, (processes,))
    for block in _blocks(counter):
        trained = {parameter for parameter in block.parameters() if parameter.requires_grad}
        fully_shard(block, mesh=mesh, reshard_after_forward=True, ignored_params=trained)


@contextmanager
def whole(counter: CrowdCounter) -> Iterator[None]:
    """Within the block each process holds all weights, and may run the encoder as often as it likes.

    All processes enter together. `state_dict` must not be called inside: it shares the weights out again.
    """
    sharded = _sharded(counter)
    for block in sharded:
        block.set_reshard_after_forward(False)
        block.unshard()
    try:
        yield
    finally:
        for block in sharded:
            block.set_reshard_after_forward(True)
            block.reshard()


def _sharded(counter: CrowdCounter) -> "list[FSDPModule]":
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return []
    from torch.distributed.fsdp import FSDPModule

    return [block for block in _blocks(counter) if isinstance(block, FSDPModule)]


def _blocks(counter: CrowdCounter) -> list[nn.Module]:
    return [block for module in counter.modules() if isinstance(module, SamEncoder) for block in module.blocks]
