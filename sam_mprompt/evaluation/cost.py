"""What a counter costs: parameters, multiply-adds and activation memory, part by part (the paper's Table 3)."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..bases.locate import resolve
from ..bases.registry import lookup, read_registry
from ..errors import UsageError
from ..geometry import round_up
from ..models.build import build_counter
from ..models.counter import CrowdCounter
from ..models.sam_config import CONFIGS
from ..recipe.limits import MAX_SIDE
from ..recipe.model import Model
from ..recipe.tuning import Tuning
from ..tuning.report import report

_ADAPTER = "encoder adapter"
_ORDER = ("encoder", _ADAPTER, "fusion", "stem", "segmenter", "regressor")


@dataclass(frozen=True)
class Part:
    """One part of a counter; `macs` are multiply-adds of one image in evaluation.

    Attributes:
        name: "encoder", "encoder adapter" (prompt modules), "regressor", "segmenter", ...
        total, trainable, stored: parameters, those that train, and those that the adapter folder holds.
        macs: multiply-adds, counted by PyTorch's operators; additions, norms and activations are left out.
    """

    name: str
    total: int
    trainable: int
    stored: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """What a counter of a recipe costs at one image size.

    Attributes:
        size: (height, width) in pixels, rounded up to what the encoder takes.
        parts: in the order of the forward pass.
        activations: bytes that one training step keeps for the backward pass on a CPU in float32, per image, parameters
            left out.
    """

    size: tuple[int, int]
    parts: tuple[Part, ...]
    activations: int

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def measure_cost(model: Model, tuning: Tuning, size: tuple[int, int], *, segmenter: bool, bins: int = 0) -> Cost:
    """Build the counter of a recipe and measure it. Weights do not matter: a missing SAM base is drawn at random.

    Args:
        model: the encoder and what stands on it.
        tuning: what of the encoder is trained.
        size: (height, width) in pixels.
        segmenter: whether training has one.
        bins: of the distribution that is predicted for each cell, 0 for a density alone.

    Raises:
        UsageError: a size below 1 or above `MAX_SIDE`, or as `build_counter`.
    """
    if min(size) < 1 or max(size) > MAX_SIDE:
        raise UsageError(f"Expected a size of 1x1 to {MAX_SIDE}x{MAX_SIDE} pixels, got {size[0]}x{size[1]}.")
    counter = build_counter(_without_files(model), tuning, segmenter=segmenter, bins=bins).counter
    height, width = (round_up(side, counter.size_divisor) for side in size)
    macs = _macs(counter, torch.zeros(1, 3, height, width))
    heads = counter.decoder_state()
    stored: Counter[str] = Counter()
    for name, parameter in counter.named_parameters():
        stored[name.split(".")[0]] += parameter.numel() * (name in heads)
    numbers = report(counter).by_part
    stored[_ADAPTER] = numbers.get(_ADAPTER, (0, 0))[1]
    stored["encoder"] = numbers["encoder"][1] if tuning.method == "full" else 0
    parts = [
        Part(name, total, trainable, stored[name], macs.get(name, 0)) for name, (trainable, total) in numbers.items()
    ]
    parts.sort(key=lambda part: _ORDER.index(part.name))
    return Cost((height, width), tuple(parts), _activations(counter, torch.zeros(2, 3, height, width)) // 2)


def _without_files(model: Model) -> Model:
    """Put random weights of the same shape where a registered SAM base is not on this machine."""
    if model.encoder == "timm":
        return model.model_copy(update={"pretrained": False, "weights": ""})
    try:
        resolve(model.base)
    except UsageError:
        entry = lookup(model.base, read_registry())
        shapes = [] if entry is None else [label for label in (entry.name, *entry.aliases) if label in CONFIGS]
        if not shapes:
            raise
        return model.model_copy(update={"base": f"random:{shapes[0]}"})
    return model


def flop_counter() -> FlopCounterMode:
    """Return a counter of floating-point operations that knows fused attention and oneDNN's products on a CPU too."""
    fused: dict[Any, Any] = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
    }
    if torch.backends.mkldnn.is_available():  # else PyTorch does not know the operator
        fused[torch.ops.mkldnn._linear_pointwise] = lambda x, weight, *_, **__: 2 * math.prod(x) * weight[0]
    return FlopCounterMode(display=False, custom_mapping=fused)


def _macs(counter: CrowdCounter, images: Tensor) -> dict[str, int]:
    """Multiply-adds by part; an adapter's are told apart from the encoder's that it sits in."""
    flops = flop_counter()
    counter.eval()
    with flops, torch.no_grad():
        counter(images)
    root = type(counter).__name__
    counts = {name: sum(by_kind.values()) // 2 for name, by_kind in flops.get_flop_counts().items()}
    parts = {name.removeprefix(f"{root}."): count for name, count in counts.items() if name.count(".") == 1}
    # A head is called by its trunk and its output, not as a whole, so its own entry is missing.
    for head in ("regressor", "segmenter"):
        parts[head] = sum(counts.get(f"{root}.{name}", 0) for name in _leaves(counter, head))
    inside = [
        f"{root}.{path}.{name}"
        for path, module in counter.named_modules()
        if isinstance(module, BaseTunerLayer)
        for name in module.adapter_layer_names
    ]
    parts[_ADAPTER] = sum(
        count for name, count in counts.items() if any(name.startswith(f"{prefix}.") for prefix in inside)
    )
    # Nor has an encoder that was asked for its levels: it is what the others leave.
    parts["encoder"] = counts[root] - sum(count for name, count in parts.items() if name != "encoder")
    return parts


def _leaves(counter: CrowdCounter, part: str) -> list[str]:
    """Names of the modules of a part that have no modules inside."""
    return [
        name for name, module in counter.named_modules() if name.startswith(f"{part}.") and not any(module.children())
    ]


def _activations(counter: CrowdCounter, images: Tensor) -> int:
    """Bytes that the backward pass of one training step needs kept; parameters and buffers are there anyway."""
    counter.train()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*counter.parameters(), *counter.buffers())}
    with _saved(own) as sizes:
        output = counter(images)
        loss = output.density.sum() + (0 if output.mask_logits is None else output.mask_logits.sum())
    del loss
    return sum(sizes.values())


@contextmanager
def _saved(ignored: set[int]) -> Iterator[dict[int, int]]:
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []  # so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in ignored:
            sizes[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
