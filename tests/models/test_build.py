import safetensors.torch
import timm
import torch

from sam_mprompt.models.build import build_encoder
from sam_mprompt.recipe.schema import load_recipe

TIMM = ["model.encoder=timm", "model.base=resnet10t", "model.pretrained=false", "tuning.method=none"]


def test_a_timm_base_from_a_file_is_named_by_its_model_whether_recipe_or_caller_gives_the_file(tiny_recipe, tmp_path):
    file = tmp_path / "resnet10t.safetensors"
    torch.manual_seed(5)
    whole = timm.create_model("resnet10t", pretrained=False).state_dict()
    safetensors.torch.save_file(whole, file)
    encoder, by_recipe = build_encoder(load_recipe(tiny_recipe, [*TIMM, f"model.weights={file}"]).model, frozen=True)
    _, by_caller = build_encoder(load_recipe(tiny_recipe, TIMM).model, str(file), frozen=True)
    _, drawn = build_encoder(load_recipe(tiny_recipe, TIMM).model, frozen=True)
    assert by_recipe == by_caller != drawn
    assert by_recipe.name == "resnet10t"
    assert torch.equal(encoder.backbone.state_dict()["conv1.0.weight"], whole["conv1.0.weight"])
    assert encoder.left_out == ("fc.bias", "fc.weight")
