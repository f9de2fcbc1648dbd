import contextlib
import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sam_mprompt.bases.weights import encoder_tensors, fingerprint, open_checkpoint, read_outline
from sam_mprompt.errors import UsageError
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder

CONFIG = SamConfig(embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=8, window_size=4, grid=6)


def weights() -> dict[str, Tensor]:
    return dict(SamEncoder.random(CONFIG).state_dict())


def whole_sam() -> dict[str, Tensor]:
    """A state dict with SAM's prefix and some of its decoder."""
    decoder = {
        "prompt_encoder.no_mask_embed.weight": torch.ones(1, 8),
        "mask_decoder.iou_token.weight": torch.ones(1, 8),
    }
    return {f"image_encoder.{name}": tensor for name, tensor in weights().items()} | decoder


def timm_copy() -> dict[str, Tensor]:
    return {re.sub(r"mlp\.lin(\d)", r"mlp.fc\1", name): tensor for name, tensor in weights().items()}


def saved(path: Path, content: object, **options: bool) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as refused:
        open_checkpoint(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pth_file_is_read_as_it_is(zipped: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "sam.pth", whole_sam(), _use_new_zipfile_serialization=zipped)
    tensors = open_checkpoint(path)
    assert tensors.keys() == whole_sam().keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in whole_sam().items())


def test_a_safetensors_file_is_read_as_it_is(tmp_path: Path) -> None:
    safetensors.torch.save_file(weights(), tmp_path / "sam.safetensors")
    tensors = open_checkpoint(tmp_path / "sam.safetensors")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in weights().items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_outline_has_every_name_and_shape_of_a_file_and_no_values(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"sam{suffix}"
    if suffix == ".pth":
        torch.save(weights(), path)
    else:
        safetensors.torch.save_file(weights(), path)
    found, shapes = read_outline(path), {name: tensor.shape for name, tensor in weights().items()}
    assert {name: tensor.shape for name, tensor in found.items()} == shapes
    assert {tensor.device.type for tensor in found.values()} == {"meta"}


class Command:
    """A pickle that would run a shell command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_code_inside_a_pth_is_refused_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    message = refusal(saved(tmp_path / "evil.pth", {"weight": torch.ones(1), "x": Command(f"touch '{mark}'")}))
    assert "refused" in message
    assert "system" in message
    assert not mark.exists()


def test_a_pickled_model_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / "model.pth", nn.Linear(2, 2)))
    assert "Linear" in message
    assert "state_dict()" in message


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_pth_is_named_damaged(kept: float, zipped: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "sam.pth", whole_sam(), _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert re.search("cut short|damaged", refusal(path))


@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused_in_one_line(kept: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = saved(tmp_path_factory.getbasetemp() / "cut.pth", {"weight": torch.ones(64)})
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refusal(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), zipped=st.booleans())
def test_a_file_with_a_wrong_byte_is_read_or_refused(
    at: float, byte: int, zipped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.pth"
    saved(path, {"weight": torch.ones(8)}, _use_new_zipfile_serialization=zipped)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] = byte
    path.write_bytes(content)
    with contextlib.suppress(UsageError):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("sam.pth", b"", "empty"),
        ("sam.safetensors", b"", "empty"),
        ("sam.pth", b"<!DOCTYPE html><html><body>Please log in</body></html>", "web page"),
        ("sam.safetensors", b"\n  <html>404</html>", "web page"),
        ("sam.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"),
        ("sam.pth", b"\x00garbage" * 50, "damaged"),
        ("sam.bin", b"\x80\x02", "expected a .pth or .safetensors file, got '.bin'"),
        ("sam", b"\x80\x02", "expected a .pth or .safetensors file, got 'sam'"),
        ("sam.safetensors", struct.pack("<Q", 10**9) + b"{}", "safetensors"),
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(file: str, content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)
    assert re.search(expected, refusal(tmp_path / file))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No checkpoint file" in refusal(tmp_path / "sam.pth")
    assert "No checkpoint file" in refusal(tmp_path)


def test_a_wrong_extension_is_answered_with_the_right_one(tmp_path: Path) -> None:
    saved(tmp_path / "sam.safetensors", weights())
    safetensors.torch.save_file(weights(), tmp_path / "sam.pth")
    assert "rename it to .pth" in refusal(tmp_path / "sam.safetensors")
    assert "rename it to .safetensors" in refusal(tmp_path / "sam.pth")


def test_a_truncated_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    safetensors.torch.save_file(weights(), path)
    path.write_bytes(path.read_bytes()[:-1])
    refusal(path)


def test_a_key_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    entry = json.dumps({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    header = f'{{"pos_embed": {entry}, "pos_embed": {entry}}}'.encode()
    (tmp_path / "sam.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    assert "more than once" in refusal(tmp_path / "sam.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_values_that_are_not_finite_are_refused_by_name(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in weights().items()}
    tensors["neck.0.weight"][3] = value
    safetensors.torch.save_file(tensors, tmp_path / "sam.safetensors")
    for path in (saved(tmp_path / "sam.pth", tensors), tmp_path / "sam.safetensors"):
        assert re.search("not finite in neck.0.weight", refusal(path))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"model": weights(), "epoch": 3}, "epoch, model"),
        ([torch.ones(1)], "list"),
        (torch.ones(1), "Tensor"),
        ({"steps": 3, "weight": torch.ones(1)}, "steps, weight"),
        ({"weight": torch.ones(2).to_sparse()}, "weight"),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_anything_besides_tensors_by_name_is_refused(content: object, named: str, tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / "run.pth", content))
    assert f"expected a state dict, tensors by name, got {named}" in message


@pytest.mark.parametrize("stored", [whole_sam, weights, timm_copy])
def test_every_naming_of_one_base_gives_the_same_encoder_and_fingerprint(
    stored: Callable[[], dict[str, Tensor]], tmp_path: Path
) -> None:
    safetensors.torch.save_file(stored(), tmp_path / "base.safetensors")
    expected = fingerprint(weights())
    for path in (saved(tmp_path / "base.pth", stored()), tmp_path / "base.safetensors"):
        tensors = open_checkpoint(path)
        assert fingerprint(tensors) == expected
        assert encoder_tensors(tensors).keys() == weights().keys()
        encoder = SamEncoder.from_checkpoint(path)
        assert encoder.config == CONFIG
        assert fingerprint(encoder.state_dict()) == expected


def test_timms_sam_has_the_official_names_and_shapes_once_renamed() -> None:
    with torch.device("meta"):
        copied = timm.create_model("samvit_base_patch16", pretrained=False, num_classes=0)
        official = SamEncoder(CONFIGS["vit_b"])
    shapes = {name: tensor.shape for name, tensor in encoder_tensors(copied.state_dict()).items()}
    assert shapes == {name: tensor.shape for name, tensor in official.state_dict().items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["vision_encoder.backbone.blocks.0.layer_norm1.weight"], "SAM 2 or later"),
        (["image_encoder.trunk.blocks.0.norm1.weight"], "SAM 2"),
        (["image_encoder.patch_embed.seq.0.c.weight"], "MobileSAM"),
        (["base_model.model.blocks.0.attn.qkv.lora_A.weight"], "an adapter"),
        (["module.image_encoder.pos_embed"], "DataParallel"),
        (["cls_token", "blocks.0.attn.qkv.weight"], "vision transformer"),
        (["conv1.weight", "layer1.0.conv1.weight"], "convolutional"),
        (["backbone.stem.weight"], "got backbone.stem.weight"),
        ([], "got none"),
    ],
)
def test_a_foreign_state_dict_is_told_what_it_looks_like(names: list[str], expected: str) -> None:
    with pytest.raises(UsageError, match=f"'x.pth' is not a SAM encoder.*{expected}"):
        encoder_tensors(dict.fromkeys(names, torch.ones(1)), "'x.pth'")


def test_a_tensor_that_is_neither_the_encoders_nor_the_decoders_is_refused() -> None:
    with pytest.raises(UsageError, match=r"does not have: density_head\.weight"):
        encoder_tensors(whole_sam() | {"density_head.weight": torch.ones(1)})


def test_a_file_that_holds_both_namings_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "both.pth", weights() | timm_copy())
    with pytest.raises(UsageError, match=r"mlp\.fc1"):
        SamEncoder.from_checkpoint(path)


@pytest.mark.parametrize("name", ["pos_embed", "blocks.1.attn.rel_pos_w", "neck.3.bias"])
@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor + 1e-3,
        lambda tensor: tensor[None],
        lambda tensor: tensor.to(torch.int64),
        lambda tensor: tensor.to(torch.float16),
    ],
    ids=["value", "shape", "kind", "rounding"],
)
def test_a_fingerprint_changes_with_any_tensor(name: str, change: Callable[[Tensor], Tensor]) -> None:
    tensors = {key: tensor + 0.1 for key, tensor in weights().items()}
    changed = tensors | {name: change(tensors[name])}
    assert fingerprint(changed) != fingerprint(tensors)
    renamed = {f"{key}x" if key == name else key: tensor for key, tensor in tensors.items()}
    assert fingerprint(renamed) != fingerprint(tensors)


def test_a_fingerprint_depends_on_nothing_but_names_and_values() -> None:
    tensors = weights()
    expected = fingerprint(tensors)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", expected)
    assert fingerprint(dict(reversed(tensors.items()))) == expected
    strided = {name: torch.stack([tensor, tensor], dim=-1)[..., 0] for name, tensor in tensors.items()}
    assert fingerprint(strided) == expected
    assert fingerprint({name: nn.Parameter(tensor) for name, tensor in tensors.items()}) == expected
    assert fingerprint({name: tensor.double() for name, tensor in tensors.items()}) == expected


def test_a_half_stored_base_keeps_its_fingerprint_through_loading(tmp_path: Path) -> None:
    half = {name: tensor.bfloat16() for name, tensor in weights().items()}
    path = saved(tmp_path / "half.pth", half)
    loaded = SamEncoder.from_checkpoint(path)
    assert fingerprint(open_checkpoint(path)) == fingerprint(loaded.state_dict()) != fingerprint(weights())


def test_any_models_state_dict_has_a_fingerprint() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))  # has an integer, and tensors without dimensions
    before = fingerprint(model.state_dict())
    model(torch.ones(2, 3, 2, 2))
    assert fingerprint(model.state_dict()) != before


@pytest.mark.parametrize("zipped", [True, False])
def test_a_small_file_that_claims_much_is_refused_before_its_values_are_read(zipped: bool, tmp_path: Path) -> None:
    for name, tensor in {
        "one value for all": torch.as_strided(torch.zeros(1), (40_000, 40_000), (0, 0)),
        "overlapping rows": torch.as_strided(torch.zeros(60_000), (30_000, 30_000), (1, 1)),
        "without values": torch.zeros(3, device="meta"),
    }.items():
        path = saved(tmp_path / "w.pth", {"a": tensor, "b": torch.zeros(3)}, _use_new_zipfile_serialization=zipped)
        assert "does not hold the values of a, only their shapes" in refusal(path), name


def test_the_same_values_under_many_names_are_refused_and_tied_weights_are_not(tmp_path: Path) -> None:
    values = torch.ones(100_000)
    assert "claim 120,000,000 bytes" in refusal(
        saved(tmp_path / "many.pth", {str(name): values for name in range(300)})
    )
    tied = open_checkpoint(saved(tmp_path / "tied.pth", {"a": values, "b": values.view(10, -1), "c": values[:10]}))
    assert torch.equal(tied["b"].flatten(), values)
