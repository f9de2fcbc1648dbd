"""Prompt modules as a tuner that peft knows, under the type "MPROMPT".

Importing this module adds it to peft's tables; `sam_mprompt.tuning.register` sees to that whenever `sam_mprompt` and
`peft` are both in use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn
from typing_extensions import override

from ..errors import UsageError
from .prompt import PEFT_TYPE, PREFIX, UNMERGEABLE, PromptModule, output_layer, prompt
from .selection import block_width

EVERY_SUBLAYER = r"(?:.*\.)?blocks\.\d+\.(?:attn|mlp)"


@dataclass
class PromptConfig(PeftConfig):
    """What `adapter_config.json` says about prompt modules.

    Attributes:
        bottleneck: width of the module.
        target_modules: the sub-layers that are followed by a module, as a regular expression over their full names or
            as name endings. By default attention and MLP of every block.
        modules_to_save: names of further modules of the encoder that are trained whole and stored in the adapter.

    Raises:
        UsageError: a bottleneck that is not a positive integer, or nothing to target.
    """

    bottleneck: int = field(default=192, metadata={"help": "Width of the prompt module."})
    target_modules: str | list[str] | set[str] = field(
        default=EVERY_SUBLAYER, metadata={"help": "Sub-layers that are followed by a prompt module."}
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Further modules that are trained whole and stored in the adapter."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PEFT_TYPE
        if not isinstance(self.bottleneck, int) or isinstance(self.bottleneck, bool) or self.bottleneck < 1:
            raise UsageError(f"bottleneck: expected a positive integer, got {self.bottleneck!r}")
        targets = self.target_modules
        given = isinstance(targets, str | list | set) and targets and all(isinstance(name, str) for name in targets)
        if not given:
            raise UsageError(f"target_modules: expected a regular expression or names of sub-layers, got {targets!r}")


class PromptLayer(nn.Module, BaseTunerLayer):
    """A sub-layer of an encoder block followed by its prompt modules, one per adapter.

    With y the output of the wrapped sub-layer, channels last ((B, H, W, C) or (B, N, C)), the result is y plus what the
    `PromptModule`s of the active adapters make of it. Their layers are kept in two dictionaries by adapter, as peft
    wants it, so that a saved tensor is called `mprompt_down.<adapter>.weight`. Attributes of the wrapped sub-layer stay
    readable through this one.

    Args:
        base_layer: the sub-layer.
        width: features of its output, where they are known from elsewhere.

    Raises:
        UsageError: the sub-layer has no linear layer from which the number of features could be read, or one of another
            width, which then does not make its output.
    """

    adapter_layer_names = ("mprompt_down", "mprompt_up")

    def __init__(self, base_layer: nn.Module, width: int | None = None) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.features = output_layer(base_layer, width).out_features
        self.mprompt_down = nn.ModuleDict()
        self.mprompt_up = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":  # not set yet: without this the next line would look it up for ever
                raise
            return getattr(self.base_layer, name)

    def update_layer(self, adapter_name: str, config: PromptConfig) -> None:
        """Add a fresh module for `adapter_name`, on the device and in the dtype of the wrapped sub-layer."""
        module = PromptModule(self.features, config.bottleneck)
        self.mprompt_down[adapter_name] = module.down
        self.mprompt_up[adapter_name] = module.up
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Call the sub-layer with what its block passes, and add what the active modules make of its output."""
        result: Tensor = self.base_layer(*args, **kwargs)
        if self.disable_adapters:
            return result
        prompted = result
        for name in self.active_adapters:
            if name in self.mprompt_down:
                down, up = self.mprompt_down[name], self.mprompt_up[name]
                prompted = prompted + prompt(self._cast_input_dtype(result, down.weight.dtype), down, up).to(
                    result.dtype
                )
        return prompted

    @override
    def _get_base_layer_device_and_dtype(self, base_layer: nn.Module) -> tuple[torch.device, torch.dtype]:
        weight = output_layer(base_layer).weight
        return weight.device, weight.dtype


class PromptModel(BaseTuner):
    """Puts prompt modules into an encoder; created by peft from a `PromptConfig`."""

    prefix = PREFIX
    tuner_layer_cls = PromptLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 (read by peft, which declares it so)

    @override
    def _create_and_replace(
        self,
        peft_config: PromptConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, PromptLayer):
            target.update_layer(adapter_name, peft_config)
            return
        try:
            layer = PromptLayer(target, block_width(parent))
        except UsageError as error:
            raise UsageError(f"'{current_key}' cannot take a prompt module: {error}") from None
        layer.update_layer(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)

    @override
    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # peft's version goes on to share the child's `weight`, which an attention layer does not have
        setattr(parent, child_name, new_module)

    @override
    def _check_merge_allowed(self) -> None:
        raise UsageError(UNMERGEABLE)

    @override
    @contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        if kwargs.get("adapter_names"):
            raise UsageError("Prompt modules take one adapter for a whole batch: call set_adapter, not adapter_names=")
        yield


PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = PromptConfig
PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = PromptModel
PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = PromptModel.prefix
