import pytest

from sam_mprompt.adapter.origin import licences_of
from sam_mprompt.recipe.schema import parse_recipe


def recipe_of(model, **data):
    return parse_recipe({"dataset": "a", "model": model, "data": data}, source="a")


@pytest.mark.parametrize(
    ("base", "licence", "hub_id"),
    [
        ("sam-tiny", "Apache-2.0", ""),
        ("sam_vit_b", "Apache-2.0", "facebook/sam-vit-base"),
        ("weights/sam_vit_l_0b3195.pth", "Apache-2.0", "facebook/sam-vit-large"),
        ("hf://facebook/sam-vit-base", "Apache-2.0", "facebook/sam-vit-base"),
        ("hf:somebody/sam@v2", "", "somebody/sam"),
        ("weights/mine.pth", "", ""),
        ("random:tiny", "", ""),
    ],
)
def test_the_licence_of_a_base_is_the_registrys_and_else_not_known(base, licence, hub_id):
    found = licences_of(recipe_of({"base": base}), base)
    assert (found.base, found.base_hub_id, found.data) == (licence, hub_id, "")


def test_timm_says_the_licence_of_its_own_weights():
    name = "resnet18.a1_in1k"
    assert licences_of(recipe_of({"encoder": "timm", "base": name}), name).base_hub_id == f"timm/{name}"
    drawn = recipe_of({"encoder": "timm", "base": name, "pretrained": False})
    assert licences_of(drawn, name).base_hub_id == ""


def test_the_licence_of_the_images_is_what_the_recipe_says():
    assert licences_of(recipe_of({}, licence="cc-by-4.0"), "sam-tiny").data == "cc-by-4.0"
