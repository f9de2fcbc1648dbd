import pytest

from sam_mprompt.errors import RecipeWarning, UsageError
from sam_mprompt.recipe.overrides import overridden
from sam_mprompt.recipe.schema import load_recipe


def test_another_method_leaves_the_files_keys_of_the_old_one_behind():
    recipe = load_recipe("demo", ["tuning.method=lora", "tuning.options.r=4"])  # the file has a bottleneck
    assert recipe.tuning.model_dump() == {
        "method": "lora",
        "placement": ("attention", "mlp"),
        "blocks": "all",
        "options": {"r": 4},
    }
    assert load_recipe("demo", ["tuning.method=side", "model.fuse_levels=false"]).tuning.bottleneck == 48


def test_another_encoder_leaves_the_files_keys_of_the_old_one_behind():
    model = load_recipe("demo", ["model.encoder=timm", "model.base=resnet18"]).model
    assert (model.base, model.stem_channels) == ("resnet18", 32)
    assert not hasattr(model, "fuse_levels")


def test_what_was_overridden_too_is_refused_instead():
    with pytest.raises(UsageError, match=r"tuning\.bottleneck: expected no such key with tuning\.method = 'lora'"):
        load_recipe("demo", ["tuning.bottleneck=4", "tuning.method=lora"])


def test_another_format_leaves_procedural_scenes_and_folds_behind(tmp_path):
    assert load_recipe("demo", ["data.format=points"]).synthetic.train == 256
    (tmp_path / "mine.toml").write_text('[data]\nformat = "ucf50"\nfold = 3\n')
    assert load_recipe(tmp_path / "mine.toml").data.fold == 3
    assert load_recipe(tmp_path / "mine.toml", ["data.format=qnrf"]).data.fold == 1


def test_an_override_by_an_old_name_is_read_with_a_warning():
    with pytest.warns(RecipeWarning, match=r"train\.clip_norm is called train\.max_grad_norm now"):
        assert load_recipe("shb", ["train.clip_norm=2.0"]).train.max_grad_norm == 2.0


def test_what_is_overridden_is_known_by_its_key():
    assert overridden(["train.lr=1", " data.format = points"], "data.format")
    assert not overridden(["data.format_=points", "train.lr=1"], "data.format")


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 3000, "0x" + "f" * 5000])
def test_an_override_of_thousands_of_digits_or_deep_nesting_is_refused_in_one_line(value):
    with pytest.raises(UsageError, match=r"train\.seed: expected"):
        load_recipe("demo", [f"train.seed={value}"])
