"""Decide what of an encoder trains: attach prompt modules or any peft method, freeze it, or open all of it.

A tuned encoder is a `peft.PeftModel`: it is called like the encoder, passes the encoder's attributes through, and keeps
several adapters of one kind side by side.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from peft import PeftConfig, PeftModel
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ..errors import UsageError, did_you_mean
from ..recipe.tuning import UNSUITED
from .frozen import check_base, check_bias, checksums, freeze_batch_norm
from .prompt import PEFT_TYPE
from .selection import Blocks, base_modules, target_modules

_OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "ia3": {"feedforward_modules": r".*\.mlp\.[^.]+"},
    # Without these two the adapted encoder would not start as the base.
    "c3a": {"init_weights": True},
    "fourierft": {"init_weights": True},
}

BARE = ("none", "side", "full")
"""Methods that put nothing into the encoder."""


def methods() -> list[str]:
    """Return every value that `tuning.method` takes."""
    of_peft = {
        _method(peft_type)
        for peft_type, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if peft_type in PEFT_TYPE_TO_TUNER_MAPPING and "target_modules" in _options(config)
    }
    return ["prompt", *BARE, *sorted((of_peft | {"dora"}) - {"prompt"} - UNSUITED.keys())]


def attach(
    encoder: nn.Module,
    method: str = "prompt",
    *,
    bottleneck: int = 192,
    placement: Sequence[str] = ("attention", "mlp"),
    blocks: Blocks = "all",
    options: Mapping[str, Any] | None = None,
    adapter_name: str = "default",
) -> nn.Module:
    """Prepare an encoder for training and return it; afterwards only what `method` says has gradients.

    Args:
        encoder: any module whose transformer blocks are named `blocks.N` and hold `attn` and `mlp` (SAM, timm's ViT and
            Swin). It is changed in place. When it carries adapters already, another is added that waits for `switch`.
        method: "prompt"; "none" (frozen as it is); "side" (the same here: what trains stands beside the encoder, see
            `models.heads.SideNetwork`); "full" (everything trains); or a peft method's name such as "lora".
        bottleneck: width of a prompt module; other methods do not use it.
        placement: which sub-layers are adapted, "attention", "mlp" or both.
        blocks: "all", or the positions of the adapted blocks, counted from 0 through the whole encoder.
        options: the method's own settings under peft's names, for example {"r": 16}; they win over those above.
        adapter_name: name of the new adapter; not used by `BARE` methods.

    Returns:
        The encoder itself for `BARE` methods, else a `peft.PeftModel` around it. It starts as exactly the base
        (up to rounding with methods that rotate weights, such as "boft").

    Raises:
        UsageError: an unknown or unsuited method, unknown options or values, blocks or sub-layers that the encoder
            does not have, a name that is taken, or settings that would change or train the base itself.
    """
    if method not in BARE:
        config = tuner_config(
            encoder, method, bottleneck=bottleneck, placement=placement, blocks=blocks, options=options or {}
        )
        return add_adapter(encoder, config, adapter_name, trainable=True)
    if options:
        raise UsageError(f"tuning.options: '{method}' takes none, got {', '.join(sorted(options))}")
    if isinstance(encoder, PeftModel):
        raise UsageError(f"tuning.method = '{method}' needs a bare encoder, and this one carries adapters")
    encoder.requires_grad_(method == "full")
    if method != "full":
        freeze_batch_norm(encoder)
    return encoder


def tuner_config(
    encoder: nn.Module,
    method: str,
    *,
    bottleneck: int = 192,
    placement: Sequence[str] = ("attention", "mlp"),
    blocks: Blocks = "all",
    options: Mapping[str, Any],
) -> PeftConfig:
    """Return the peft configuration of a method for this encoder; arguments and errors are those of `attach`."""
    known_methods = methods()
    if method not in known_methods or method in BARE:
        reason = (
            f"'{method}' is not for image encoders: {UNSUITED[method]}" if method in UNSUITED else f"got '{method}'"
        )
        raise UsageError(
            f"tuning.method: {reason}.{did_you_mean(method, known_methods)} Choose one of: {', '.join(known_methods)}"
        )
    peft_type = {"prompt": PEFT_TYPE, "dora": "LORA"}.get(method, method.upper())
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type]
    known = _options(config_class)
    if unknown := sorted(options.keys() - known):
        raise UsageError(
            f"tuning.options: '{method}' has no option '{unknown[0]}'.{did_you_mean(unknown[0], known)} "
            f"It has: {', '.join(sorted(known))}"
        )
    settings = dict(_OWN_SETTINGS.get(method, {}))
    if method == "prompt":
        settings["bottleneck"] = bottleneck
    if "target_modules" not in options:
        settings["target_modules"] = target_modules(encoder, method, placement, blocks)
    elif blocks != "all":
        raise UsageError("tuning.blocks and tuning.options.target_modules both say which layers are adapted; give one")
    try:
        return config_class(**{**settings, **options})
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"tuning.options: peft does not take them for '{method}': {error}") from error


def add_adapter(
    encoder: nn.Module, config: PeftConfig, adapter_name: str = "default", *, trainable: bool = False
) -> PeftModel:
    """Attach a freshly initialised adapter and return the tuned encoder; the first one is active, others wait.

    Args:
        encoder: a bare encoder, which is frozen and wrapped, or a tuned one, which gets a further adapter.
        config: from `tuner_config`, or from an adapter folder by `adapter_files.config_from_dict`.
        adapter_name: a new name.
        trainable: whether the adapter has gradients while it is active.

    Raises:
        UsageError: peft refuses the configuration, the name is taken or could be mistaken for one inside the encoder,
            two kinds of adapters would meet, or the base would be changed or trained. A tuned encoder then works on as
            before; a bare one has to be built anew.
    """
    _check_company(encoder, config, adapter_name)
    check_bias(config)
    _check_name(encoder, config, adapter_name)
    config.inference_mode = not trainable
    config.base_model_name_or_path = None  # else peft asks a hub about it when saving
    training, before = encoder.training, checksums(encoder)
    try:
        if isinstance(encoder, PeftModel):
            encoder.add_adapter(adapter_name, config)
            tuned = encoder
        else:
            freeze_batch_norm(encoder)
            tuned = PeftModel(encoder, config, adapter_name)
        check_base(tuned, before)
    except Exception as error:
        if isinstance(encoder, PeftModel):
            _forget(encoder, adapter_name)
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"peft cannot attach '{_method(config.peft_type)}': {error}") from error
    tuned.train(training)  # new layers come in training mode, with dropout, also into an encoder that only counts
    return tuned


def adapter_config(encoder: nn.Module, adapter_name: str = "default") -> PeftConfig:
    """Return the configuration of one adapter of a tuned encoder.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    configs = _tuned(encoder).peft_config
    if adapter_name not in configs:
        raise UsageError(
            f"The encoder has no adapter '{adapter_name}'.{did_you_mean(adapter_name, configs)} "
            f"It has: {', '.join(sorted(configs))}"
        )
    return configs[adapter_name]


def switch(encoder: nn.Module, adapter_name: str) -> None:
    """Make one adapter the active one, with gradients if it was added as trainable.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    config = adapter_config(encoder, adapter_name)
    _tuned(encoder).set_adapter(adapter_name, inference_mode=config.inference_mode)


def remove(encoder: nn.Module, adapter_name: str) -> None:
    """Delete an adapter that is not active.

    Raises:
        UsageError: there is no such adapter, or it is active: peft would pick its successor by itself.
    """
    adapter_config(encoder, adapter_name)
    if adapter_name in _tuned(encoder).active_adapters:
        raise UsageError(f"Adapter '{adapter_name}' is active; switch to another one before removing it")
    _tuned(encoder).delete_adapter(adapter_name)


@contextmanager
def disable(encoder: nn.Module) -> Iterator[None]:
    """Within the block the encoder is exactly its base; afterwards all is as before, gradients included.

    Raises:
        UsageError: the encoder carries no adapter.
    """
    tuned = _tuned(encoder)
    before = [(parameter, parameter.requires_grad) for parameter in tuned.parameters()]
    try:
        with tuned.disable_adapter():
            yield
    finally:
        for parameter, requires_grad in before:
            parameter.requires_grad = requires_grad


def merge(encoder: nn.Module) -> nn.Module:
    """Fold the active adapter into the base's weights and return the bare encoder; the tuned one is used up.

    Raises:
        UsageError: the method cannot be merged, as prompt modules cannot, or the encoder carries no adapter.
    """
    tuned = _tuned(encoder)
    try:
        merged: nn.Module = tuned.merge_and_unload(safe_merge=True)
    except (NotImplementedError, AttributeError, TypeError) as error:
        method = _method(tuned.peft_type)
        raise UsageError(f"peft cannot merge '{method}' into the base; keep the adapter beside it") from error
    return merged


@dataclass(frozen=True)
class TunableReport:
    """Numbers of parameters; shared ones count once.

    Attributes:
        trainable: how many have gradients.
        total: how many there are, adapters included.
        by_part: (trainable, total) by the model's child; adapters inside it are counted apart, as "<child> adapter".
    """

    trainable: int
    total: int
    by_part: Mapping[str, tuple[int, int]]

    def __str__(self) -> str:
        share = 100 * self.trainable / max(self.total, 1)
        parts = (f"{part} {_short(count)} of {_short(total)}" for part, (count, total) in self.by_part.items())
        return f"{_short(self.trainable)} of {_short(self.total)} parameters train ({share:.1f} %): {', '.join(parts)}"


def report(model: nn.Module) -> TunableReport:
    """Count the parameters of an encoder, or of a model that has one as a child."""
    base = {id(own) for _, _, module in base_modules(model) for own in module.parameters(recurse=False)}
    by_part: dict[str, tuple[int, int]] = {}
    for path, parameter in model.named_parameters():
        part = path.replace("base_model.model.", "").split(".")[0] + ("" if id(parameter) in base else " adapter")
        trainable, total = by_part.get(part, (0, 0))
        by_part[part] = (trainable + parameter.requires_grad * parameter.numel(), total + parameter.numel())
    return TunableReport(
        trainable=sum(trainable for trainable, _ in by_part.values()),
        total=sum(total for _, total in by_part.values()),
        by_part=by_part,
    )


def _tuned(encoder: nn.Module) -> PeftModel:
    if not isinstance(encoder, PeftModel):
        raise UsageError(f"This {type(encoder).__name__} carries no adapters; attach one first")
    return encoder


def _options(config_class: type[PeftConfig]) -> set[str]:
    """Return the settings that are a method's own, without those that say where and by whom an adapter was made."""
    general = {entry.name for entry in dataclasses.fields(PeftConfig)}
    return {entry.name for entry in dataclasses.fields(config_class)} - general


def _method(peft_type: str) -> str:
    """Return the value of `tuning.method` for a peft type, which peft keeps as a string or as a string enumeration."""
    return "prompt" if peft_type == PEFT_TYPE else str(getattr(peft_type, "value", peft_type)).lower()


def _check_company(encoder: nn.Module, config: PeftConfig, adapter_name: str) -> None:
    """Refuse a second adapter of the same name, or of another kind than those that are there."""
    if not isinstance(encoder, PeftModel):
        return
    if adapter_name in encoder.peft_config:
        raise UsageError(f"The encoder already has an adapter '{adapter_name}'; choose another name")
    if config.peft_type != encoder.peft_type:
        raise UsageError(
            f"'{adapter_name}' is a '{_method(config.peft_type)}' adapter, and this encoder carries adapters of "
            f"'{_method(encoder.peft_type)}'; one encoder takes one kind: load it onto an encoder of its own"
        )


def _check_name(encoder: nn.Module, config: PeftConfig, adapter_name: str) -> None:
    """Refuse names with which peft and torch would mix things up.

    peft tells adapters apart by a component of a tensor's name, so that saving beside an adapter "7" would drop
    block 7; torch keeps them in dictionaries of modules, which have methods such as "eval" and "items".
    """
    prefix = PEFT_TYPE_TO_PREFIX_MAPPING[config.peft_type]
    reserved = {"base_model", "model", "base_layer", "modules_to_save", "original_module"}
    for _, name, module in base_modules(encoder):
        reserved.update(name.split("."), (own for own, _ in module.named_parameters(recurse=False)))
    if (
        not adapter_name
        or "." in adapter_name
        or adapter_name in prefix
        or prefix in adapter_name
        or adapter_name in reserved
        or hasattr(nn.ModuleDict, adapter_name)
        or hasattr(nn.ParameterDict, adapter_name)
    ):
        raise UsageError(
            f"'{adapter_name}' cannot name an adapter: expected a name without a dot that is no part of the encoder's "
            f"own names (such as 'blocks' or '7'), of '{prefix}' or of torch's vocabulary, for example 'station'"
        )


def _forget(tuned: PeftModel, adapter_name: str) -> None:
    """Take out what a failed `add_adapter` left behind."""
    tuned.peft_config.pop(adapter_name, None)
    for module in tuned.modules():
        if isinstance(module, BaseTunerLayer):
            module.delete_adapter(adapter_name)


def _short(number: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
