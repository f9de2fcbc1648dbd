from pathlib import Path

import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.find import (
    RECOMMENDED,
    RENAMED,
    find_recipe,
    read_toml,
    recipe_files,
    recipes_for_photographs,
    summarise,
)
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.resources import bundled


def test_every_shipped_recipe_has_its_place_among_the_recommended():
    assert {path.stem for path in bundled("recipes").glob("*.toml")} == set(RECOMMENDED)
    assert [name for name in recipe_files() if name in RECOMMENDED] == list(RECOMMENDED)
    assert RECOMMENDED[0] == "demo"


def test_recipes_of_ones_own_follow(tmp_path):
    for name in ("b", "demo", "a", "sha"):
        (tmp_path / f"{name}.toml").write_text("")
    assert list(recipe_files([tmp_path])) == ["demo", "sha", "a", "b"]


@pytest.mark.parametrize("old", sorted(RENAMED))
def test_an_old_name_says_the_new_one(old):
    with pytest.raises(UsageError, match=f"Recipe '{old}' is called '{RENAMED[old]}' now") as raised:
        find_recipe(old)
    assert "\n" not in str(raised.value)
    assert load_recipe(RENAMED[old]).name == RENAMED[old]


def test_a_recipe_of_ones_own_may_have_an_old_name(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "shb-tiny.toml").write_text("[train]\nepochs = 3\n")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("shb-tiny").train.epochs == 3


def test_recipes_for_a_folder_are_those_of_its_format_else_those_that_need_no_boxes():
    assert recipes_for_photographs("nwpu") == ["nwpu", "nwpu-segmenter", "nwpu-hrnet"]
    assert recipes_for_photographs("shanghaitech")[0] == "shb-tiny-prompt"
    for name in recipes_for_photographs("points"):
        recipe = load_recipe(name)
        assert recipe.data.format != "synthetic"
        assert recipe.targets.pseudo_mask == "points"


@pytest.mark.parametrize("columns", [80, 200])
def test_the_list_has_one_line_a_recipe_the_recommended_first(run_cli, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run_cli("recipes", "list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(recipe_files())
    assert all(len(line) <= 80 and "\u2026" not in line for line in lines[1:])


def test_a_recipe_with_a_byte_order_mark_is_read_as_one_without(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf# what it is for\n[train]\nepochs = 3\n")
    assert read_toml(tmp_path / "mine.toml") == {"train": {"epochs": 3}}
    assert summarise("mine", tmp_path / "mine.toml").about == "what it is for"


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 5000, "a = \xff"])
def test_numbers_of_thousands_of_digits_and_deep_nesting_are_refused_in_one_line(tmp_path, text):
    (tmp_path / "odd.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is not valid TOML"):
        read_toml(tmp_path / "odd.toml")


def test_a_recipe_larger_than_any_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(2**24 + 1)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(UsageError, match=r"'.*large\.toml' is not valid TOML: it is larger than 16,777,216 bytes\."):
        read_toml(tmp_path / "large.toml")


def test_a_recipe_that_cannot_be_read_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="No recipe file"):
        find_recipe("a" * 300 + ".toml")
    with pytest.raises(UsageError, match=r"Cannot read recipe '.*': Is a directory"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    ("file", "name"),
    [("my recipe.toml", "my-recipe"), ("Zürich (2).toml", "Z-rich-2-"), (".a.toml", "a"), ("§.toml", "custom")],
)
def test_a_recipe_without_a_name_is_called_after_its_file_with_dashes_for_what_a_name_cannot_have(tmp_path, file, name):
    (tmp_path / file).write_text("")
    assert load_recipe(tmp_path / file).name == name
