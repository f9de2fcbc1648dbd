from benchmarks.accuracy.prompt_content import content
from sam_mprompt.recipe.schema import load_recipe


def test_an_empty_pseudo_mask_says_nothing_and_a_wide_one_more_than_the_points():
    small = ["synthetic.train=2", "synthetic.size=224", "targets.pseudo_mask=empty"]
    empty = content(load_recipe("demo", small), None)
    assert (empty.only_pseudo, empty.only_density) == (0.0, 1.0)
    wide = content(load_recipe("demo", [*small, "targets.pseudo_mask=points", "targets.point_dilation=40"]), None)
    assert wide.only_pseudo > 0.5
    assert wide.only_density == 0.0
    assert wide.mask > empty.mask
