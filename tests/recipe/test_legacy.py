import tomllib
import warnings

import pytest

from sam_mprompt.errors import RecipeWarning, UsageError
from sam_mprompt.pretraining.recipe import load_pretrain_recipe
from sam_mprompt.recipe.schema import load_recipe, parse_recipe

ALL_OF_MODEL = {
    "encoder": "sam",
    "base": "sam_vit_b",
    "pretrained": True,
    "levels": [],
    "stem_stride": 2,
    "positions": "resample",
    "density_stride": 4,
    "fuse_levels": False,
    "stem_channels": 0,
    "stem_blocks": 0,
    "gate": "none",
}
ALL_OF_TUNING = {"method": "prompt", "bottleneck": 8, "placement": ["mlp"], "blocks": [3], "options": {}}


def resolved(model=(), tuning=(), **tables):
    """A recipe as 0.1 wrote it into runs and adapters: every key of every table."""
    return tables | {"model": ALL_OF_MODEL | dict(model), "tuning": ALL_OF_TUNING | dict(tuning)}


def test_keys_of_0_1_are_read_with_one_warning_that_names_the_new_ones(tmp_path):
    (tmp_path / "mine.toml").write_text('[train]\naccumulate = 2\nclip_norm = 1.5\nstart = "first"\n')
    with pytest.warns(RecipeWarning) as told:
        train = load_recipe(tmp_path / "mine.toml").train
    assert (train.gradient_accumulation, train.max_grad_norm, train.init_from) == (2, 1.5, "first")
    assert len(told) == 1
    for part in ("train.accumulate is called train.gradient_accumulation now", "train.init_from", "max_grad_norm"):
        assert part in str(told[0].message)


def test_keys_of_0_1s_pretraining_are_read_too(tmp_path):
    (tmp_path / "mine.toml").write_text(
        "[encoder]\ndim = 32\nheads = 2\nwindow = 4\nglobal_blocks = [1]\n[train]\nclip_norm = 0.5\n"
    )
    with pytest.warns(RecipeWarning, match=r"encoder\.global_blocks is called encoder\.global_attn_indexes now"):
        recipe = load_pretrain_recipe(tmp_path / "mine.toml")
    encoder = recipe.encoder
    assert (encoder.embed_dim, encoder.num_heads, encoder.window_size) == (32, 2, 4)
    assert (encoder.global_attn_indexes, recipe.train.max_grad_norm) == ((1,), 0.5)


def test_a_key_that_does_nothing_any_more_is_left_out_and_told_where_it_asked_for_something(recwarn):
    silent = parse_recipe({"train": {"flex_attention": False, "epochs": 3}}, source="a.toml")
    assert silent.train.epochs == 3
    assert not recwarn.list
    with pytest.warns(RecipeWarning, match=r"^Recipe 'a\.toml': train\.flex_attention does nothing any more: "):
        asked = parse_recipe({"train": {"flex_attention": True, "epochs": 3}}, source="a.toml")
    assert asked == silent


@pytest.mark.parametrize("method", ["side", "none", "full", "lora"])
def test_a_recipe_that_0_1_wrote_is_read_without_a_word(method):
    synthetic = {"train": 8, "fresh": True, "val": 2, "size": 96, "max_heads": 9}
    table = resolved(tuning={"method": method}, train={"accumulate": 2}, synthetic=synthetic)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = parse_recipe(table, source="adapter")
    assert (recipe.tuning.method, recipe.train.gradient_accumulation) == (method, 2)
    assert recipe.synthetic.train == 256
    again = tomllib.loads(recipe.to_toml())
    assert parse_recipe(again, source="again") == recipe


def test_a_timm_recipe_that_0_1_wrote_is_read():
    recipe = parse_recipe(resolved({"encoder": "timm", "base": "hrnet_w40", "stem_stride": 1}), source="adapter")
    assert (recipe.model.stem_stride, recipe.model.base) == (1, "hrnet_w40")


def test_what_0_1_put_among_peft_options_of_prompt_modules_has_keys_of_its_own():
    options = {"modules_to_save": ["neck"], "bottleneck": 3}
    tuning = parse_recipe(resolved(tuning={"options": options}), source="adapter").tuning
    assert (tuning.modules_to_save, tuning.bottleneck) == (("neck",), 3)


def test_a_file_of_ones_own_may_repeat_0_1s_defaults_and_nothing_else(tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[model]\nlevels = []\nstem_stride = 2\n[tuning]\nmethod = "full"\nblocks = "all"\nbottleneck = 192\n'
    )
    assert load_recipe(tmp_path / "mine.toml").tuning.method == "full"
    (tmp_path / "mine.toml").write_text('[tuning]\nmethod = "full"\nbottleneck = 64\n')
    with pytest.raises(UsageError, match=r"tuning\.bottleneck: expected no such key"):
        load_recipe(tmp_path / "mine.toml")


def test_an_old_key_is_told_on_stderr_as_one_plain_line(run_cli, tmp_path):
    (tmp_path / "mine.toml").write_text("[train]\naccumulate = 2\n")
    shown = run_cli("recipes", "show", tmp_path / "mine.toml", "--resolved")
    assert "gradient_accumulation = 2" in shown.out
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("sam-mprompt: Recipe ")
    assert "train.accumulate is called train.gradient_accumulation now" in shown.err
