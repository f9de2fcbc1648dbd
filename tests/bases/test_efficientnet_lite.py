from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest
import timm
import torch

from sam_mprompt.bases.efficientnet_lite import timm_names
from sam_mprompt.bases.locate import resolve, verify
from sam_mprompt.bases.registry import read_registry
from sam_mprompt.data.scenes.objects import object_scene
from sam_mprompt.errors import UsageError

TIMMS = ["conv_stem.weight", "blocks.0.0.bn1.bias", "blocks.1.0.bn1.bias", "blocks.1.1.bn1.bias", "blocks.2.0.bn1.bias"]


def test_blocks_are_counted_stage_by_stage_and_layers_after_whether_the_block_expands() -> None:
    assert timm_names(
        [
            *("_conv_stem.weight", "_bn0.bias", "_conv_head.weight", "_bn1.running_var", "_fc.weight"),
            *("_blocks.0._depthwise_conv.weight", "_blocks.0._bn1.bias", "_blocks.0._project_conv.weight"),
            *("_blocks.2._expand_conv.weight", "_blocks.2._bn0.bias", "_blocks.2._bn1.bias", "_blocks.2._bn2.bias"),
            *("_blocks.2._project_conv.weight", "_blocks.3._expand_conv.weight"),
        ],
        TIMMS,
        "the file",
    ) == {
        "_conv_stem.weight": "conv_stem.weight",
        "_bn0.bias": "bn1.bias",
        "_conv_head.weight": "conv_head.weight",
        "_bn1.running_var": "bn2.running_var",
        "_fc.weight": "classifier.weight",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
        "_blocks.0._bn1.bias": "blocks.0.0.bn1.bias",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.2._expand_conv.weight": "blocks.1.1.conv_pw.weight",
        "_blocks.2._bn0.bias": "blocks.1.1.bn1.bias",
        "_blocks.2._bn1.bias": "blocks.1.1.bn2.bias",
        "_blocks.2._bn2.bias": "blocks.1.1.bn3.bias",
        "_blocks.2._project_conv.weight": "blocks.1.1.conv_pwl.weight",
        "_blocks.3._expand_conv.weight": "blocks.2.0.conv_pw.weight",
    }


@pytest.mark.parametrize(
    "name", ["_blocks.4._bn1.bias", "_blocks.0._se_reduce.weight", "_blocks.0.bias", "_bn7.bias", "_fc", "head.weight"]
)
def test_a_name_that_the_packages_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"the file holds tensors that the model does not have: {name}"):
        timm_names(["_conv_stem.weight", name], TIMMS, "the file")


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_what_a_package_carries_is_what_the_registry_says(name: str) -> None:
    entry = read_registry()[name]
    assert (entry.licence, entry.published, entry.ships) == ("Apache-2.0", False, False)
    assert entry.timm == f"tf_{name.replace('-', '_')}"
    try:
        assert version(entry.package) == "0.1.0"
    except PackageNotFoundError:
        pytest.skip(f"{entry.package} is not installed")
    assert verify(name).state == "ready"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_timms_network_computes_what_the_packages_own_computes(name: str) -> None:
    companion = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    try:
        file = resolve(name)
    except UsageError:
        pytest.skip(f"{name} is not installed")
    tensors = torch.load(file, weights_only=True)
    theirs, ours = companion.from_name(name).eval(), timm.create_model(read_registry()[name].timm).eval()
    theirs.load_state_dict(tensors)
    names = timm_names(tensors, ours.state_dict(), str(file))
    assert ours.load_state_dict({names[key]: value for key, value in tensors.items()}).missing_keys == []
    side = companion.get_image_size(name)  # which its padding is made for
    scene = (object_scene(0, 7, (side, side)).image.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    batch = torch.from_numpy(np.stack([scene, scene[:, ::-1].copy()]))
    with torch.inference_mode():
        assert torch.equal(ours(batch), theirs(batch))
