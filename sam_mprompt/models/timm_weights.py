"""A timm model's weights from a file, as machines without a connection need them: strictly, or not at all."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ..bases.efficientnet_lite import MARK, timm_names
from ..bases.weights import open_checkpoint
from ..errors import UsageError, listed
from ..tensor_files import check_against

_COUNTER = "num_batches_tracked"
"""Files that are older than it lack it, and features do not depend on it."""


def load_weights(backbone: nn.Module, name: str, file: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Load a file of timm's published weights, or of a model trained from them, into a feature model.

    Args:
        backbone: what `timm.create_model(name, features_only=True)` returned.
        name: of the timm model.
        file: .safetensors, .pth or .pt, in the names of timm, in others that timm itself converts, or in those of the
            packages of EfficientNet-Lite; of the last every tensor is compared, the classifier's too.
        options: what the model was created with besides.

    Returns:
        Names of the tensors that were left out, those of layers behind the last feature map, such as the classifier.

    Raises:
        UsageError: the file cannot be read; a tensor is missing or has another shape; or one belongs to no layer of
            this model. Each is named.
    """
    path = Path(file).expanduser()
    with torch.device("meta"):
        whole = timm.create_model(name, pretrained=False, **_of_the_whole(options))
    tensors = _in_timms_names(open_checkpoint(path), whole, f"'{path}' for timm's '{name}'")
    expected = backbone.state_dict()
    fitting, others = {}, []
    for own, tensor in tensors.items():
        inside = next((inside for inside in _names_inside(own) if inside in expected), None)
        if inside is None:
            others.append(own)
        else:
            fitting[inside] = tensor
    source = f"'{path}' for timm's '{name}'"
    if foreign := set(others) - whole.state_dict().keys():
        raise UsageError(f"{source} holds tensors that the model does not have: {listed(foreign)}.")
    for key in expected.keys() - fitting.keys():
        if key.endswith(_COUNTER):
            fitting[key] = expected[key]
    check_against({key: tensor.shape for key, tensor in expected.items()}, fitting, source)
    backbone.load_state_dict({key: tensor.to(expected[key].dtype) for key, tensor in fitting.items()})
    return tuple(sorted(others))


def _of_the_whole(options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what only feature models understand."""
    return {key: value for key, value in options.items() if key != "feature_location"}


def _in_timms_names(tensors: dict[str, Tensor], whole: nn.Module, source: str) -> dict[str, Tensor]:
    """Convert a file in the naming of a model's authors as timm does with what it fetches, by its module's filter."""
    if MARK in tensors:
        expected = whole.state_dict()
        names = timm_names(tensors, expected, source)
        renamed = {names[key]: tensor for key, tensor in tensors.items()}
        check_against({key: tensor.shape for key, tensor in expected.items()}, renamed, source)
        return renamed
    convert = getattr(sys.modules[type(whole).__module__], "checkpoint_filter_fn", None)
    return tensors if convert is None else dict(convert(dict(tensors), whole))


def _names_inside(name: str) -> tuple[str, ...]:
    """Return what a tensor of the whole model may be called in a feature model, which wraps or flattens it."""
    return name, f"model.{name}", re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", name)
