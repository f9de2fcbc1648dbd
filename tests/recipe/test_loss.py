import tomllib

import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.loss import BayesianLoss, DmLoss, MseLoss, ZipLoss
from sam_mprompt.recipe.schema import load_recipe, parse_recipe

KINDS = {"mse": MseLoss, "zip": ZipLoss, "dm": DmLoss, "bayesian": BayesianLoss}


def loss_of(**table):
    return parse_recipe({"loss": table}, source="test").loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_told_by_one_key_and_comes_back_from_its_toml(kind):
    recipe = parse_recipe({"loss": {"kind": kind}}, source="test")
    assert type(recipe.loss) is KINDS[kind]
    written = tomllib.loads(recipe.to_toml())
    assert written["loss"].keys() == KINDS[kind].model_fields.keys()
    assert parse_recipe(written, source="again") == recipe


def test_a_table_without_a_kind_is_the_squared_error_as_before():
    assert loss_of(kappa=7, count=0.5) == MseLoss(kappa=7, count=0.5)


@pytest.mark.parametrize(
    ("kind", "key"), [("mse", "bins"), ("zip", "transport"), ("dm", "count"), ("bayesian", "rounds")]
)
def test_keys_of_other_kinds_are_refused_with_whose_they_are(kind, key):
    with pytest.raises(UsageError, match=rf"loss\.{key}: expected no such key with loss\.kind = '{kind}' \(it belongs"):
        loss_of(kind=kind, **{key: 2})


def test_a_misspelt_kind_gets_the_one_that_was_meant():
    with pytest.raises(UsageError, match=r"Did you mean 'bayesian'\?"):
        loss_of(kind="baysian")


def test_another_kind_leaves_the_files_own_keys_of_the_old_one_behind():
    recipe = load_recipe("demo", ["loss.kind=dm"])
    assert isinstance(recipe.loss, DmLoss)
    assert (recipe.loss.kappa, recipe.loss.density_scale) == (3, 600.0)


@pytest.mark.parametrize("kind", ["zip", "dm", "bayesian"])
def test_a_segmenter_alone_has_no_other_kind(kind):
    with pytest.raises(UsageError, match=r"loss\.kind: expected 'mse' for a segmenter alone"):
        loss_of(kind=kind, density=0.0, context=0.0, online=False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_prompt_needs_the_segmenter_in_every_kind(kind):
    with pytest.raises(UsageError, match=r"loss\.context: expected 0 without the segmenter"):
        loss_of(kind=kind, segmentation=0.0)


def test_only_distributions_have_bins_and_only_the_squared_error_reads_no_points():
    made = {kind: loss_of(kind=kind) for kind in KINDS}
    assert [kind for kind, loss in made.items() if loss.block_bins] == ["zip"]
    assert made["zip"].block_bins == made["zip"].bins
    assert [kind for kind, loss in made.items() if not loss.reads_points] == ["mse"]


@pytest.mark.parametrize("key", ["blur", "pixel_noise"])
def test_features_cannot_be_cached_of_pixels_that_change(key):
    table = {"data": {"cache": "features", "jitter": 0.0, key: 0.5}, "tuning": {"method": "side"}}
    with pytest.raises(UsageError, match=rf"data\.{key} = 0\.5 changes"):
        parse_recipe(table, source="test")
