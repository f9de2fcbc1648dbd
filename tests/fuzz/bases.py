"""Base checkpoints: safetensors and files of torch.save that are damaged, claim much, or hold something else."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from .attempt import Attempt
from .dice import NUMBERS, Dice

IMPORTS = ("sam_mprompt.models.sam_encoder", "sam_mprompt.bases.weights")

_NAMES = ("base.safetensors", "base.pth", "base.pt")
CONFIG = {
    "embed_dim": 16, "depth": 2, "num_heads": 2, "global_attn_indexes": (1,), "out_channels": 8, "window_size": 4,
    "grid": 4
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Write a small SAM encoder as each kind of file."""
    from safetensors.torch import save_file

    from sam_mprompt.models.sam_config import SamConfig
    from sam_mprompt.models.sam_encoder import SamEncoder

    tensors = SamEncoder.random(SamConfig(**CONFIG), seed=3).state_dict()
    save_file(tensors, folder / "base.safetensors")
    torch.save(tensors, folder / "base.pth")
    torch.save(tensors, folder / "base.pt", _use_new_zipfile_serialization=False)


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make one file and build an encoder of it."""
    name = dice.pick(_NAMES)
    kind = dice.randrange(6)
    if kind == 0 or (kind == 1 and name != "base.safetensors"):
        what, data = "damaged", dice.damaged((shared / name).read_bytes())
    elif kind == 1 or (kind == 2 and name == "base.safetensors"):
        what, data = "another header", _other_header(dice, (shared / name).read_bytes())
    elif kind == 2:
        what, data = "zip members changed", _other_members(dice, (shared / "base.pth").read_bytes())
    elif kind == 3:
        what, data = _handmade(dice)
    else:
        what, data = _other_tensors(dice, shared, name)
    path = folder / (name if dice.chance(0.95) else dice.pick(_NAMES))
    path.write_bytes(data)
    return Attempt(f"{path.name}: {what}, {len(data)} bytes", lambda: build(path))


def build(path: Path) -> None:
    from sam_mprompt.models.sam_encoder import SamEncoder
    from sam_mprompt.tensor_files import read_shapes

    encoder = SamEncoder.from_checkpoint(str(path))
    if path.suffix == ".safetensors":
        read_shapes(path)
    encoder.eval()
    with torch.no_grad():
        encoder(torch.zeros(1, 3, 32, 48))


def other_header(dice: Dice, data: bytes) -> bytes:
    """Return a safetensors file with another header, its length put right."""
    return _other_header(dice, data)


def _other_header(dice: Dice, data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if dice.chance(0.5):
        _lie(dice, header)
        text = json.dumps(header).encode()
    else:
        text = dice.json(header)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _lie(dice: Dice, header: dict[str, Any]) -> None:
    """Change what a header says of a tensor so that it hardly looks wrong."""
    name = dice.pick([key for key in header if key != "__metadata__"])
    entry = header[name]
    kind = dice.randrange(5)
    if kind == 0:
        entry["shape"] = [dice.pick(NUMBERS) for _ in range(dice.randrange(5))]
    elif kind == 1:
        entry["shape"] = [1] * dice.choice((1, 30, 70)) + entry["shape"]
    elif kind == 2:
        entry["dtype"] = dice.pick(("F64", "I64", "BOOL", "U8", "F8_E4M3", "F4", "U64", "C64", dice.word()))
    elif kind == 3:
        entry["data_offsets"] = [dice.pick(NUMBERS), dice.pick(NUMBERS)]
    else:
        header[dice.word()] = header.pop(name)


def _other_members(dice: Dice, data: bytes) -> bytes:
    """Return a file of torch.save with a member of its archive changed, left out, doubled or compressed."""
    source, buffer = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    chosen = dice.pick(source.namelist()) if dice.chance(0.5) else "base/data.pkl"
    method = zipfile.ZIP_DEFLATED if dice.chance(0.2) else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name in source.namelist():
            content = source.read(name)
            kind = dice.randrange(4) if name == chosen else -1
            if kind == 0:
                continue
            if kind in (1, 2):
                content = dice.damaged(content)
            if kind == 3:
                content = bytes(dice.choice((0, 10, 50_000_000)))
            target.writestr(name, content)
    return buffer.getvalue()


def _handmade(dice: Dice) -> tuple[str, bytes]:
    """Return what torch.load has to refuse: other pickles, with and without code."""
    things: tuple[tuple[str, bytes], ...] = (
        ("code", pickle.dumps(_Code())),
        ("a pickle of a list", pickle.dumps([1, 2])),
        ("deep nesting", b"\x80\x02" + b"]" * 100_000 + b"." ),
        ("long memo", b"\x80\x02" + b"N" + b"r\xff\xff\xff\x7f" + b"."),
        ("a claim of bytes", b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"."),
        ("a claim of text", b"\x80\x04X" + struct.pack("<I", 2**31) + b"."),
        ("a long integer", b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"."),
        ("a web page", b"<!doctype html>"),
        ("a pointer", b"version https://git-lfs.github.com/spec/v1\n"),
        ("nothing", b""),
        ("a tar", b"././@PaxHeader" + bytes(512)),
        ("an empty archive", b"PK\x05\x06" + bytes(18)),
    )  # fmt: skip
    what, data = dice.pick(things)
    return what, dice.damaged(data) if dice.chance(0.3) else data


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("was_run", "w"))


def _other_tensors(dice: Dice, shared: Path, name: str) -> tuple[str, bytes]:
    """Return a whole file of other tensors: reshaped, renamed, of other types, hollow, sparse, shared."""
    from safetensors.torch import load_file, save

    tensors: dict[Any, Any] = dict(load_file(shared / "base.safetensors"))
    changes = []
    for _ in range(dice.choice((1, 1, 2, 3))):
        key = dice.pick(tensors)
        tensor = tensors[key]
        if not isinstance(tensor, torch.Tensor):
            continue
        kind = dice.randrange(12)
        changes.append(f"{key!a:.60} {kind}")
        if kind == 0:
            tensors[dice.word()] = tensors.pop(key)
        elif kind == 1:
            del tensors[key]
        elif kind == 2:
            shape = [dice.choice((0, 1, 2, 3, 7, 64)) for _ in range(dice.choice((0, 1, 2, 3, 4, 5)))]
            tensors[key] = torch.zeros(shape)
        elif kind == 3:
            tensors[key] = tensor.to(dice.pick((torch.float64, torch.int64, torch.bool, torch.float16, torch.uint8)))
        elif kind == 4:
            tensors[key] = torch.full(tensor.shape, dice.choice((float("nan"), float("inf"), 1e38)))
        elif kind == 5:
            tensors = {f"{dice.pick(('image_encoder.', 'module.', 'x.'))}{inner}": t for inner, t in tensors.items()}
        elif name == "base.safetensors":
            tensors[key] = torch.zeros(dice.choice((0, 1, 1000)))
        else:
            tensors[key] = _only_torch(dice, tensor)
    if name == "base.safetensors":
        kept = {str(key).encode("utf-8", "replace").decode(): t.contiguous() for key, t in tensors.items()}
        return f"tensors changed ({'; '.join(changes)})", save(kept)
    content: Any = tensors
    if dice.chance(0.2):
        content = dice.pick(
            ({"model": tensors}, [tensors], tensors | {1: torch.zeros(1)}, tensors | {"epoch": 3}, None)
        )
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=name == "base.pth")
    return f"tensors changed ({'; '.join(changes)})", buffer.getvalue()


def _only_torch(dice: Dice, tensor: torch.Tensor) -> Any:
    """Return what a file of torch.save alone can hold in a tensor's place."""
    return dice.pick(
        (
            lambda: torch.zeros(3, device="meta"),
            lambda: torch.zeros(1).expand(1 << 28),
            lambda: torch.zeros(1 << 20).as_strided((1 << 20, 1 << 10), (1, 0)),
            lambda: torch.eye(3).to_sparse(),
            lambda: torch.eye(3).to_sparse_csr(),
            lambda: torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.quint8),
            lambda: tensor.to(torch.complex64),
            lambda: torch.zeros(3, 4).t(),
            lambda: torch.nn.Parameter(tensor, requires_grad=tensor.is_floating_point()),
            lambda: [tensor],
            lambda: 3.0,
            lambda: "text",
            lambda: None,
        )
    )()
