from typing import get_args

from sam_mprompt.recipe.schema import Recipe, parse_recipe
from sam_mprompt.recipe.section import members
from sam_mprompt.recipe.tuning import UNSUITED, PeftMethod
from sam_mprompt.tuning.methods import methods


def test_the_schema_knows_every_method_that_can_be_attached_and_no_other():
    """When this fails, peft has come with other methods: change PeftMethod in recipe/tuning.py."""
    key, by_method = members(Recipe, "tuning")
    assert key == "method"
    assert sorted(by_method) == sorted(methods())
    assert set(get_args(PeftMethod)) == set(methods()) - {"prompt", "side", "none", "full"}
    assert not UNSUITED.keys() & by_method.keys()


def first_block(**tuning):
    return parse_recipe({"tuning": tuning}, source="test").tuning.first_block


def test_each_method_knows_the_first_block_that_it_trains():
    assert first_block(method="side") is first_block(method="none") is None
    assert first_block() == first_block(method="full") == first_block(method="lora") == 0
    assert first_block(blocks=[5, 3]) == first_block(method="lora", blocks=[5, 3]) == 3


def test_prompts_train_further_modules_whole_under_a_key_of_their_own():
    prompts = parse_recipe({"tuning": {"modules_to_save": ["neck"], "bottleneck": 4}}, source="test").tuning
    assert prompts.peft_options == {"bottleneck": 4, "modules_to_save": ["neck"]}
    assert parse_recipe({}, source="test").tuning.peft_options == {"bottleneck": 192}
