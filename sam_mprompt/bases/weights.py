"""Base weights on disk: read as plain tensors or refused, named as SAM names them, recognised by their fingerprint."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UsageError, listed
from ..files import is_file
from ..tensor_files import read_shapes, read_tensors
from .locate import CHECKPOINT_SUFFIXES
from .names import OFFICIAL, encoder_names, naming_of

# How files that are often taken for SAM's betray themselves: the beginning of a key, and what the file is.
_FOREIGN = {
    "vision_encoder.backbone.": "SAM 2 or later in the naming of transformers, whose encoder is another one",
    "image_encoder.trunk.": "SAM 2, whose encoder is another one",
    "image_encoder.patch_embed.seq.": "MobileSAM, whose encoder is another one",
    "base_model.model.": "an adapter, not a base: give it where an adapter is expected",
    "module.": "a model saved inside DataParallel: strip 'module.' from its keys",
    "_conv_stem.": "EfficientNet, which is for model.encoder = 'timm'",
    "cls_token": "a plain vision transformer",
    "conv1.": "a convolutional network",
}

_MOST_SHARING = 64
"""How many times the bytes of a file its tensors may claim: tied weights are stored once."""


def open_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors onto the CPU, in the dtypes that it stores; no code in the file is ever run.

    Args:
        path: .pth or .pt (memory-mapped where its format allows) or .safetensors.

    Raises:
        UsageError: the file is missing, empty, cut short, a web page, of another kind, holds anything besides
            tensors by name, or holds values that are not finite; the message says which.
    """
    _check_content(path)
    return read_tensors(path) if path.suffix == ".safetensors" else _read_pth(path)


def read_outline(path: Path) -> dict[str, Tensor]:
    """Return a checkpoint's tensors on the meta device: their names and shapes, no values are read.

    Raises:
        UsageError: as `open_checkpoint`, but for what only the values tell.
    """
    _check_content(path)
    if path.suffix == ".safetensors":
        return {name: torch.empty(shape, device="meta") for name, shape in read_shapes(path).items()}
    return _state_dict(path, device="meta")


def encoder_tensors(tensors: Mapping[str, Tensor], source: str = "the state dict") -> dict[str, Tensor]:
    """Return the image encoder's tensors under SAM's names, without prefix.

    Accepts SAM's whole state dict (the decoder is left out) and its encoder alone, in the official naming, timm's and
    transformers', of any size: see `bases.names`.

    Raises:
        UsageError: not SAM, or a tensor that is neither the encoder's nor the decoder's.
    """
    for beginning, meaning in _FOREIGN.items():
        if any(name.startswith(beginning) for name in tensors):
            raise UsageError(f"{source} is not a SAM encoder. It looks like {meaning}.")
    encoder = encoder_names(tensors)
    if "patch_embed.proj.weight" not in encoder:
        raise UsageError(
            f"{source} is not a SAM encoder: expected tensors such as '{OFFICIAL.prefix}patch_embed.proj.weight', "
            f"got {listed(tensors) or 'none'}."
        )
    naming = naming_of(tensors) or OFFICIAL
    whole = bool(naming.prefix) and any(name.startswith(naming.prefix) for name in tensors)
    if whole and (others := [name for name in tensors if not name.startswith((naming.prefix, *naming.beside))]):
        raise UsageError(f"{source} holds tensors that SAM does not have: {listed(others)}.")
    if len(encoder) < len(tensors) and not whole:
        raise UsageError(f"{source} holds tensors of the same name in two namings: {listed(tensors)}.")
    if integers := [name for name, tensor in encoder.items() if not tensor.is_floating_point()]:
        raise UsageError(f"{source}: expected floating-point weights, got others in {listed(integers)}.")
    return encoder


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return "sha256:..." over an encoder's tensors: sorted names, dtypes, shapes and bytes.

    Names are SAM's without prefix and the decoder does not count, so that a .pth, a safetensors, a copy in the naming
    of timm or transformers and the loaded encoder agree. Floating-point tensors enter as float32, the dtype that
    encoders are loaded in: a copy that is stored as float16 has the same fingerprint before and after loading, but not
    that of the float32 original, because its weights are others. Works for any model's state dict.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder_names(tensors).items()):
        plain = tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype)
        array = plain.contiguous().numpy()
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(array.reshape(-1).data)
    return f"sha256:{digest.hexdigest()}"


def _check_content(path: Path) -> None:
    """Recognise by name and first bytes what is no checkpoint at all."""
    if not is_file(path):
        raise UsageError(f"No checkpoint file at '{path}'.")
    if path.suffix not in CHECKPOINT_SUFFIXES:
        raise UsageError(f"'{path}': expected a .pth or .safetensors file, got '{path.suffix or path.name}'.")
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise UsageError(f"'{path}' is empty. Get it again.")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise UsageError(
            f"'{path}' is a web page, not a checkpoint: the download met a login or error page. Get the file itself.",
            about="web page",
        )
    if start.startswith(b"version https://git-lfs"):
        raise UsageError(f"'{path}' is a Git LFS pointer, not the file itself. Run 'git lfs pull' where it came from.")
    if path.suffix == ".safetensors" and start.startswith(b"PK\x03\x04"):
        raise UsageError(f"'{path}' is not safetensors but a file of torch.save: rename it to .pth.")
    if path.suffix != ".safetensors" and start[8:9] == b"{":
        raise UsageError(f"'{path}' is not a file of torch.save but safetensors: rename it to .safetensors.")


def _state_dict(path: Path, device: str) -> dict[str, Tensor]:
    """Return what a file of torch.save holds, tensors by name, on a device; memory-mapped where its format allows."""
    with path.open("rb") as file:
        in_zip = file.read(4) == b"PK\x03\x04"
    try:
        content = torch.load(path, map_location=device, weights_only=True, mmap=in_zip)
    except Exception as error:  # a damaged file makes torch raise almost anything
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise UsageError(
                f"'{path}' is refused: besides tensors it holds {code[1]}, and loading that could run code. "
                "Expected a state dict, as torch.save(model.state_dict(), ...) writes it."
            ) from error
        size = path.stat().st_size
        raise UsageError(f"'{path}' is damaged or cut short ({size:,} bytes): get it again.") from error
    if not isinstance(content, Mapping) or not all(_dense(value) for value in content.values()):
        inside = listed(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise UsageError(
            f"'{path}': expected a state dict, tensors by name, got {inside}. Save the model's state dict alone."
        )
    return {str(name): tensor for name, tensor in content.items()}


def _read_pth(path: Path) -> dict[str, Tensor]:
    content = _state_dict(path, device="cpu")
    if hollow := [name for name, tensor in content.items() if not _held(tensor)]:
        raise UsageError(
            f"'{path}' is refused: it does not hold the values of {listed(hollow)}, only their shapes. Expected the "
            "state dict of a model that was not on the meta device, as torch.save writes it."
        )
    # What shares its memory is written once and counted as often as it is named.
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in content.values())
    if claimed > _MOST_SHARING * path.stat().st_size:
        raise UsageError(
            f"'{path}' is refused: its tensors claim {claimed:,} bytes of its {path.stat().st_size:,}. Save a copy of "
            "each instead of views."
        )
    if broken := [name for name, tensor in content.items() if not _finite(tensor)]:
        raise UsageError(f"'{path}' holds values that are not finite in {listed(broken)}. Get it again.")
    return content


def _dense(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided


def _held(tensor: Tensor) -> bool:
    """Whether a tensor has values of its own: not on the meta device, and no few values that stand for many."""
    if tensor.device.type == "meta" or not tensor.numel():
        return tensor.device.type != "meta"
    # One view may show its storage in any order, but not more values than are there.
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = torch.aminmax(tensor.float())  # one pass without a copy of float32; NaN spreads to both
    return bool(torch.isfinite(low) and torch.isfinite(high))
