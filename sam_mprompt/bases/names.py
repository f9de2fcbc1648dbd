"""The namings that SAM's weights come in, each with one table that leads to the official names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Naming:
    """How a library names SAM's tensors.

    Attributes:
        name: of the library.
        mark: pattern of a tensor's name, without `prefix`, that only this naming has.
        prefix: what stands before the encoder's names in a file that holds the whole SAM; empty where none is known.
        beside: beginnings of the other names in such a file: the decoder's.
        renames: (pattern, replacement) to the official name, tried in turn; the first that matches is taken.
    """

    name: str
    mark: str
    prefix: str = ""
    beside: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()

    def official(self, name: str) -> str:
        """Return the official name of an encoder's tensor, without prefix."""
        for pattern, replacement in self.renames:
            if re.match(pattern, name):
                return re.sub(pattern, replacement, name, count=1)
        return name


OFFICIAL = Naming(
    name="segment_anything",
    mark=r"blocks\.\d+\.mlp\.lin[12]\.",
    prefix="image_encoder.",
    beside=("prompt_encoder.", "mask_decoder."),
)
TIMM = Naming(
    name="timm",
    mark=r"blocks\.\d+\.mlp\.fc[12]\.",
    prefix=OFFICIAL.prefix,
    beside=OFFICIAL.beside,
    renames=((r"(blocks\.\d+\.mlp\.)fc([12]\.)", r"\1lin\2"),),
)
TRANSFORMERS = Naming(
    name="transformers",
    mark=r"layers\.\d+\.layer_norm[12]\.",
    prefix="vision_encoder.",
    beside=("prompt_encoder.", "mask_decoder.", "shared_image_embedding."),
    renames=(
        (r"patch_embed\.projection\.", "patch_embed.proj."),
        (r"layers\.(\d+)\.layer_norm([12])\.", r"blocks.\1.norm\2."),
        (r"layers\.(\d+)\.", r"blocks.\1."),
        (r"neck\.conv1\.", "neck.0."),
        (r"neck\.layer_norm1\.", "neck.1."),
        (r"neck\.conv2\.", "neck.2."),
        (r"neck\.layer_norm2\.", "neck.3."),
    ),
)
NAMINGS = (OFFICIAL, TIMM, TRANSFORMERS)
"""In the order in which they are tried, so that a file which holds two namings is read by the first."""


def naming_of(names: Mapping[str, object]) -> Naming | None:
    """Return the naming of a state dict with or without SAM's decoder, or None where it is none of SAM's."""
    for naming in NAMINGS:
        mark = re.compile(f"(?:{re.escape(naming.prefix)})?{naming.mark}")
        if any(mark.match(name) for name in names):
            return naming
    return None


def encoder_names(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Return the encoder's entries under the official names: prefix and decoder dropped. Others stay as they are."""
    naming = naming_of(tensors)
    prefix = OFFICIAL.prefix if naming is None else naming.prefix
    whole = bool(prefix) and any(name.startswith(prefix) for name in tensors)
    inside = {
        name.removeprefix(prefix): value for name, value in tensors.items() if not whole or name.startswith(prefix)
    }
    return inside if naming is None else {naming.official(name): value for name, value in inside.items()}
