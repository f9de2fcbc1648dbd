import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.licences import checked_licence, forbids_commerce
from sam_mprompt.recipe.schema import parse_recipe


@pytest.mark.parametrize("name", ["apache-2.0", "Apache-2.0", " CC-BY-NC-4.0", "other"])
def test_a_licence_of_the_hubs_is_known_in_any_case(name):
    assert checked_licence(name) == name.strip().lower()


@pytest.mark.parametrize(("name", "meant"), [("apache2", "apache-2.0"), ("cc-by-nc", "cc-by-nc-4.0"), ("", None)])
def test_another_name_is_refused_with_the_nearest(name, meant):
    with pytest.raises(UsageError, match="licence: expected an identifier of the Hub's") as refused:
        checked_licence(name)
    assert meant is None or "Did you mean 'cc" in str(refused.value) or f"Did you mean '{meant}'" in str(refused.value)


def test_licences_that_allow_no_commerce_are_told_apart():
    without = ["cc-by-nc-4.0", "cc-by-nc-sa-2.0", "h-research", "fair-noncommercial-research-license"]
    assert all(map(forbids_commerce, without))
    assert not any(map(forbids_commerce, ["", "mit", "Apache-2.0", "cc-by-4.0", "ncsa", "cc-by-nd-4.0"]))


def test_a_recipe_says_the_licence_of_its_images_and_no_other_word():
    recipe = parse_recipe({"dataset": "a", "data": {"licence": "CC-BY-4.0"}}, source="a")
    assert recipe.data.licence == "cc-by-4.0"
    with pytest.raises(UsageError, match=r"data\.licence.*identifier of the Hub's"):
        parse_recipe({"dataset": "a", "data": {"licence": "mine"}}, source="a")


def test_a_licence_of_bytes_that_are_no_text_is_refused_beside_all_other_faults():
    with pytest.raises(UsageError, match=r"(?s)2 faults.*train\.epochs.*data\.licence.*got '\\udcff'"):
        parse_recipe({"dataset": "a", "data": {"licence": "\udcff"}, "train": {"epochs": 0}}, source="a")
