"""Prompt modules in an encoder that only counts, without peft, whose import takes longer than counting an image.

What is computed is what `prompt_tuner`, peft's face of the same modules, computes. Training goes through peft, and so
does every other method.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import UsageError, did_you_mean
from ..tensor_files import check_tensors
from .asked import MOST_NUMBER, check_pattern
from .names import check_adapter_name
from .prompt import PEFT_TYPE, PREFIX, PromptModule, output_layer, prompt
from .selection import base_modules, block_width

_ON_DISK = "base_model.model."
"""How the names of tensors start in peft's files."""

_KEYS = {
    "peft_type", "peft_version", "task_type", "inference_mode", "bottleneck", "target_modules", "modules_to_save",
    "auto_mapping", "base_model_name_or_path", "revision",
}  # fmt: skip


def counts_without_peft(config: Mapping[str, Any]) -> bool:
    """Return whether an `adapter_config.json` asks for prompt modules as we write them, and nothing else of peft's.

    What else it asks for, or asks wrongly, is for peft to do or to refuse.
    """
    targets, bottleneck = config.get("target_modules"), config.get("bottleneck")
    return (
        config.get("peft_type") == PEFT_TYPE
        and config.keys() <= _KEYS
        and isinstance(targets, str)
        and targets != ""
        and not config.get("modules_to_save")
        and isinstance(bottleneck, int)
        and not isinstance(bottleneck, bool)
        and 1 <= bottleneck <= MOST_NUMBER
    )


class PromptedLayer(nn.Module):
    """A sub-layer of an encoder block, and behind it the prompt modules of the active adapter.

    Args:
        base_layer: the sub-layer.
        width: features of its output, where they are known from elsewhere.

    Raises:
        UsageError: as `prompt.output_layer`.
    """

    wraps = "base_layer"

    def __init__(self, base_layer: nn.Module, width: int | None = None) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.features = output_layer(base_layer, width).out_features
        self.mprompt_down, self.mprompt_up = nn.ModuleDict(), nn.ModuleDict()
        self.active: str | None = None
        self.enabled = True

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":  # not set yet: without this the next line would look it up for ever
                raise
            return getattr(self.base_layer, name)

    def add(self, name: str, bottleneck: int) -> None:
        """Add a module for an adapter, on the device and in the dtype of the sub-layer."""
        weight: Tensor = output_layer(self.base_layer).weight
        module = PromptModule(self.features, bottleneck).to(device=weight.device, dtype=weight.dtype)
        self.mprompt_down[name], self.mprompt_up[name] = module.down, module.up

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Call the sub-layer with what its block passes, and add what the active module makes of its output."""
        result: Tensor = self.base_layer(*args, **kwargs)
        if not self.enabled or self.active is None or self.active not in self.mprompt_down:
            return result
        down, up = cast(nn.Linear, self.mprompt_down[self.active]), self.mprompt_up[self.active]
        return result + prompt(result.to(down.weight.dtype), down, up).to(result.dtype)


class PromptedEncoder(nn.Module):
    """An encoder with the prompt modules of several adapters, of which one is active.

    It is called like the encoder and passes its attributes through, as a `peft.PeftModel` does.

    Args:
        encoder: bare; it is changed in place.

    Attributes:
        configs: what adapter_config.json says of each adapter, by name.
        active: name of the adapter that works; None before there is one.
    """

    wraps = "encoder"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.configs: dict[str, Mapping[str, Any]] = {}
        self.active: str | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "encoder":
                raise
            return getattr(self.encoder, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Encode."""
        return self.encoder(*args, **kwargs)

    def add(self, name: str, config: Mapping[str, Any]) -> None:
        """Add an adapter, which is active if it is the first; its weights are to be filled.

        Args:
            name: a new one.
            config: of which `counts_without_peft` is true.

        Raises:
            UsageError: the name is taken or cannot be one, or the configuration matches nothing or could take for
                ever. All is then as before.
        """
        check_adapter_name(self, PREFIX, name)
        if name in self.configs:
            raise UsageError(f"The encoder already has an adapter '{name}'; choose another name")
        bases = {own: module for _, own, module in base_modules(self.encoder)}
        check_pattern(config["target_modules"], list(bases))
        targets = [own for own in bases if own and re.fullmatch(config["target_modules"], own)]
        if not targets:
            raise UsageError(f"target_modules: '{config['target_modules']}' matches no module of the encoder.")
        layers = {own: self._layer(bases, own) for own in targets}
        for own, layer in layers.items():
            parent, _, child = own.rpartition(".")
            setattr(bases[parent], child, layer)
            layer.add(name, config["bottleneck"])
        self.configs[name] = config
        self._activate(self.active or name)

    def switch(self, name: str) -> None:
        """Make one adapter the active one. Raises UsageError where there is none of the name."""
        self._known(name)
        self._activate(name)

    def remove(self, name: str) -> None:
        """Delete an adapter that is not active. Raises UsageError where there is none of the name, or it is active."""
        self._known(name)
        if name == self.active:
            raise UsageError(f"Adapter '{name}' is active; switch to another one before removing it")
        for layer in self._layers().values():
            if name in layer.mprompt_down:
                del layer.mprompt_down[name], layer.mprompt_up[name]
        del self.configs[name]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Within the block the encoder is exactly its base, whatever adapter is active."""
        layers = self._layers().values()
        for layer in layers:
            layer.enabled = False
        try:
            yield
        finally:
            for layer in layers:
                layer.enabled = True

    def config_of(self, name: str) -> Mapping[str, Any]:
        """Return what an adapter was added with. Raises UsageError for an unknown name."""
        self._known(name)
        return self.configs[name]

    def state(self, name: str) -> dict[str, Tensor]:
        """Return one adapter's tensors, live, under peft's keys on disk. Raises UsageError for an unknown name."""
        self._known(name)
        return {
            f"{_ON_DISK}{own}.{part}.{kind}": tensor
            for own, layer in self._layers().items()
            for part, modules in (("mprompt_down", layer.mprompt_down), ("mprompt_up", layer.mprompt_up))
            if name in modules
            for kind, tensor in modules[name].state_dict().items()
        }

    def fill(self, tensors: Mapping[str, Tensor], name: str, source: str) -> None:
        """Fill an adapter, all of it or nothing, from tensors under the keys of `state`; dtypes stay.

        Raises:
            UsageError: there is no such adapter, or keys, shapes or kinds of numbers differ; nothing was changed then.
        """
        own = self.state(name)
        check_tensors(own, tensors, source)
        with torch.no_grad():
            for key, tensor in own.items():
                tensor.copy_(tensors[key])

    def _layer(self, bases: Mapping[str, nn.Module], own: str) -> PromptedLayer:
        """Return the layer around a sub-layer, which may be there for another adapter already."""
        parent = bases[own.rpartition(".")[0]]
        found = getattr(parent, own.rpartition(".")[2])
        if isinstance(found, PromptedLayer):
            return found
        try:
            return PromptedLayer(bases[own], block_width(parent))
        except UsageError as error:
            raise UsageError(f"'{own}' cannot take a prompt module: {error}") from None

    def _layers(self) -> dict[str, PromptedLayer]:
        """Return the layers by the names that their sub-layers had before."""
        around = {id(module.base_layer): module for module in self.modules() if isinstance(module, PromptedLayer)}
        named = ((own, around.get(id(module))) for _, own, module in base_modules(self.encoder))
        return {own: layer for own, layer in named if layer is not None}

    def _activate(self, name: str) -> None:
        for layer in self._layers().values():
            layer.active = name
        self.active = name

    def _known(self, name: str) -> None:
        if name not in self.configs:
            raise UsageError(
                f"The encoder has no adapter '{name}'.{did_you_mean(name, self.configs)} "
                f"It has: {', '.join(sorted(self.configs))}"
            )
