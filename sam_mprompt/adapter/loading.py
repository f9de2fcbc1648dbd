"""An adapter on its base: built, compared with what the folder says, filled all or nothing."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..models.build import (
    Base,
    BuiltCounter,
    add_decoders,
    build_encoder,
    build_outline,
    outline_of,
    outline_on_disk,
)
from ..models.counter import CrowdCounter
from ..models.sam_encoder import SamEncoder
from ..tensor_files import check_against
from ..tuning.adapters import remove
from ..tuning.selection import base_modules
from .contents import CONFIG, PREFIX, TENSORS
from .counter_file import COUNTER
from .folder import OF_COUNTER, AdapterFolder
from .inside import DEFAULT, fill, outlined, put_inside, state_of


def load_adapter(adapter: AdapterFolder, base: str | None = None) -> BuiltCounter:
    """Build the base and put an adapter on it, ready to count (evaluation mode, nothing trainable).

    Args:
        adapter: as read.
        base: checkpoint name or file, if it is not to be found under its recorded name.

    Raises:
        UsageError: the base is missing or another one, keys or shapes do not fit, or the network that they make is
            not the one that counter.json describes. What a folder asks for is compared with the tensors that it has
            before anything is built for it.
    """
    name, weights = base or adapter.info.base, not adapter.info.native
    # A base that the user names is compared by its fingerprint first: what is wrong then is the base, not the folder.
    trusted = base is not None and adapter.recipe.model.encoder == "sam"
    outline = None if trusted else build_outline(adapter.recipe.model, name)
    if outline is not None:
        check_sizes(outline, adapter)
    encoder, found = build_encoder(adapter.recipe.model, name, frozen=weights, weights=weights)
    if not adapter.info.native:
        check_base(adapter, found)
    if isinstance(encoder, SamEncoder) and outline is None:
        check_sizes(outline_of(encoder), adapter)
    found = Base(found.name, adapter.info.base_fingerprint)
    if adapter.config is not None:
        encoder = put_inside(encoder, adapter.config)
    counter = decoders_of(adapter, encoder)
    load_tensors(counter, adapter)
    counter.requires_grad_(False)
    return BuiltCounter(counter.eval(), found)


def add_to(encoder: nn.Module, base: Base, adapter: AdapterFolder, name: str) -> CrowdCounter:
    """Put a further adapter on a base that carries one, and return its counter, ready to count; the active one stays.

    Raises:
        UsageError: another base, a name that is taken or cannot be one, another kind of adapter, or keys or shapes
            that do not fit. The encoder is then as before.
    """
    assert adapter.config is not None, "nothing to put into the encoder"
    check_base(adapter, base)
    bare = next(module for _, _, module in base_modules(encoder))
    outline = outline_of(bare) if isinstance(bare, SamEncoder) else build_outline(adapter.recipe.model, base.name)
    if outline is not None:
        check_sizes(outline, adapter)
    put_inside(encoder, adapter.config, name)
    try:
        counter = decoders_of(adapter, encoder)
        load_tensors(counter, adapter, name)
    except BaseException:
        remove(encoder, name)
        raise
    return counter.requires_grad_(False).eval()


def init_from(adapter: AdapterFolder, built: BuiltCounter, method: str) -> None:
    """Put an adapter's weights into a counter about to be trained; the segmenter, which no adapter has, stays new.

    Raises:
        UsageError: another base or tuning method, or other prompt modules or decoders than the adapter's own.
    """
    theirs = adapter.recipe.tuning.method
    if theirs != method:
        raise UsageError(
            f"train.init_from: expected an adapter of tuning.method = '{method}' as the recipe's, '{adapter.path}' has "
            f"'{theirs}'. Start from another adapter, or set tuning.method = '{theirs}'."
        )
    if not adapter.info.native:
        check_base(adapter, built.base)
    load_tensors(built.counter, adapter)


def decoders_of(adapter: AdapterFolder, encoder: nn.Module) -> CrowdCounter:
    """Put what an adapter's recipe has beside and behind its encoder there, fresh."""
    recipe = adapter.recipe
    return add_decoders(encoder, recipe.model, recipe.tuning, segmenter=False, bins=recipe.loss.block_bins)


def check_base(adapter: AdapterFolder, base: Base) -> None:
    """Refuse a base that the adapter was not trained on: it would load silently and count wrongly."""
    if base.fingerprint != adapter.info.base_fingerprint:
        raise UsageError(
            f"Adapter '{adapter.path}' was trained on base '{adapter.info.base}' "
            f"({adapter.info.base_fingerprint[:19]}...), but '{base.name}' is another one "
            f"({base.fingerprint[:19]}...).",
            about="another base",
        )


def check_folder(adapter: AdapterFolder) -> None:
    """Refuse what `load_adapter` would refuse of a folder for its shapes, at once: its base is neither read nor built.

    Only for SAM's encoders. Nothing is compared where the base is a file that is not on this machine, or where another
    file has its name.

    Raises:
        UsageError: keys or shapes that do not fit, what cannot be attached, or another network than counter.json
            describes.
    """
    model, name = adapter.recipe.model, adapter.info.base
    outline = outline_on_disk(model, name)
    if outline is None:
        return
    try:
        _check_network(check_sizes(outline, adapter), adapter)
    except UsageError:
        by_name = build_outline(model, name) is not None  # else a file's values tell whether it is the base
        if by_name or build_encoder(model, name, frozen=True)[1].fingerprint == adapter.info.base_fingerprint:
            raise


def check_sizes(outline: nn.Module, adapter: AdapterFolder) -> CrowdCounter:
    """Compare the shapes of an adapter's tensors with those that its recipe and configuration ask for.

    A file of strangers may ask for any width; nothing of that size is made here.

    Args:
        outline: the base on the meta device. It is used up.
        adapter: as read.

    Returns:
        The counter that they make, on the meta device.

    Raises:
        UsageError: keys or shapes that do not fit, or what cannot be attached.
    """
    source, expected = f"'{adapter.path / TENSORS}'", {}
    tensors: Mapping[str, Tensor] = adapter.tensors
    tuned = outline
    if adapter.config is not None:
        tuned = outlined(outline, adapter.config)
        if tuned is not outline:
            expected = state_of(tuned)
        else:  # not to be known before it is built
            tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(PREFIX)}
    with torch.device("meta"):
        counter = decoders_of(adapter, tuned)
    own = counter.decoder_state()
    if adapter.info.native:
        own |= {f"encoder.{key}": tensor for key, tensor in counter.encoder.state_dict().items()}
    expected |= {OF_COUNTER + key: tensor for key, tensor in own.items()}
    check_against({key: tensor.shape for key, tensor in expected.items()}, tensors, source)
    return counter


def load_tensors(counter: CrowdCounter, adapter: AdapterFolder, name: str = DEFAULT) -> None:
    """Put an adapter's tensors into the encoder's adapter `name` and into the counter's decoders, all or nothing.

    Raises:
        UsageError: missing, unexpected or reshaped keys, all named, or another network than counter.json describes.
    """
    source = f"'{adapter.path / TENSORS}'"
    _check_network(counter, adapter)
    prompts = {key: tensor for key, tensor in adapter.tensors.items() if key.startswith(PREFIX)}
    others = {key: tensor for key, tensor in adapter.tensors.items() if not key.startswith(PREFIX)}
    own = counter.decoder_state()
    if adapter.info.native:
        own |= {f"encoder.{key}": tensor for key, tensor in counter.encoder.state_dict().items()}
    check_against({OF_COUNTER + key: tensor.shape for key, tensor in own.items()}, others, source)
    if adapter.config is not None:
        fill(counter.encoder, prompts, name, source)
    elif prompts:
        raise UsageError(f"Adapter '{adapter.path}' has prompt modules but no {CONFIG}. Export it again.")
    counter.load_state_dict({key.removeprefix(OF_COUNTER): tensor for key, tensor in others.items()}, strict=False)


def _check_network(counter: CrowdCounter, adapter: AdapterFolder) -> None:
    """Refuse a network that sees images otherwise than the trained one did."""
    info, encoder = adapter.info, cast(Any, counter.encoder)
    pairs = {
        "stride": (info.stride, counter.stride),
        "size_divisor": (info.size_divisor, counter.size_divisor),
        "mean": (info.mean, tuple(encoder.mean)),
        "std": (info.std, tuple(encoder.std)),
    }
    if info.format_version == 1 and counter.size_divisor % info.size_divisor == 0:
        # Version 0.1 wrote the stride of the coarsest level that was kept; some timm models need a multiple of it.
        del pairs["size_divisor"]
    for name, (written, found) in pairs.items():
        if written != found:
            raise UsageError(
                f"Adapter '{adapter.path}' was trained with {name} {written}, as its {COUNTER} says, but its recipe "
                f"and base make a network with {name} {found}."
            )
