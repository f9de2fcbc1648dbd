import json

from sam_mprompt.recipe.find import recipe_files


def test_recipes_are_listed_shown_and_copied(run_cli, tmp_path):
    assert {row["name"] for row in json.loads(run_cli("recipes", "list", "--json").out)} == set(recipe_files())
    assert run_cli("recipes", "show", "shb").out == recipe_files()["shb"].read_text()
    assert "epochs = 5\n" in run_cli("recipes", "show", "shb", "--set", "train.epochs=5").out
    assert run_cli("recipes", "copy", "shb", tmp_path / "mine.toml").code == 0
    assert run_cli("recipes", "copy", "shb", tmp_path / "mine.toml").code == 2
