import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.find import find_recipe, recipe_files, summarise
from sam_mprompt.recipe.schema import Recipe, load_recipe, parse_recipe


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_every_shipped_recipe_is_valid_and_named_after_its_file(name):
    assert load_recipe(name).name == name


PAPERS = [f"{data}{backbone}" for data in ("sha", "shb", "qnrf", "nwpu") for backbone in ("", "-hrnet")]


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_recipes_have_its_hyper_parameters(name):
    recipe = load_recipe(name)
    loss, train = recipe.loss, recipe.train
    assert (loss.density, loss.segmentation, loss.context, loss.kappa, recipe.targets.context_k) == (1, 0.5, 0.5, 50, 3)
    assert (train.epochs, train.batch_size, train.lr, train.optimizer) == (700, 16, 1e-4, "adam")
    assert (train.schedule, train.step_epochs, train.step_factor) == ("step", 300, 0.4)
    assert (recipe.data.crop, recipe.data.max_side, recipe.data.min_side) == (400, 2048, 416)
    assert recipe.targets.kernel_size == 15
    if name.endswith("-hrnet"):
        assert (recipe.tuning.method, recipe.model.base, recipe.model.gate) == ("full", "hrnet_w40", "segmenter")
    else:
        assert (recipe.tuning.method, recipe.tuning.bottleneck, recipe.model.base) == ("prompt", 192, "sam_vit_b")


@pytest.mark.parametrize("name", PAPERS)
def test_every_header_shows_the_command_the_cost_and_the_papers_figures(name):
    text = find_recipe(name).read_text()
    assert f"sam-mprompt finetune --recipe {name}" in text
    assert "Expected cost" in text
    assert "The paper's figures" in text


def test_a_resolved_recipe_reads_back_equal():
    recipe = load_recipe("nwpu", ["tuning.blocks=[0, 3]", "tuning.options.r=8", "data.random_scale=[0.8, 1.2]"])
    assert parse_recipe(tomllib.loads(recipe.to_toml()), source="again") == recipe


def test_every_fault_of_a_file_is_reported_at_once(recipe_file):
    path = recipe_file(
        '[train]\nepocs = 3\nlr = "fast"\nbatch_size = 0\n[targets]\nkernel_size = 4\n[dat]\n[loss]\nsegmentation = 0\n'
    )
    with pytest.raises(UsageError) as raised:
        load_recipe(path)
    message = str(raised.value)
    assert "6 faults" in message
    for part in (
        "train.epocs: unknown key. Did you mean 'epochs'?",
        "train.lr: expected a valid number, got 'fast'",
        "train.batch_size: expected greater than 0, got 0",
        "targets.kernel_size: expected an odd number, got 4",
        "dat: unknown key. Did you mean 'data'?",
        "context = 0.5 needs the segmenter",
    ):
        assert part in message


def test_a_misspelt_choice_names_the_choices(recipe_file):
    with pytest.raises(UsageError, match="expected 'none' or 'segmenter', got 'segmentor'"):
        load_recipe(recipe_file('[model]\ngate = "segmentor"\n'))


def test_stem_blocks_without_a_stem_are_told():
    with pytest.raises(UsageError, match="stem_blocks = 3 need a stem: set stem_channels too"):
        load_recipe("shb", ["model.stem_blocks=3"])


def test_overrides_are_typed_and_checked_like_the_file():
    assert load_recipe("shb", ["train.epochs=5", "train.lr=1e-3", "model.base=other"]).train.epochs == 5
    with pytest.raises(UsageError, match=r"train.epochs: expected a valid integer, got 'five'"):
        load_recipe("shb", ["train.epochs=five"])
    with pytest.raises(UsageError, match=r"Did you mean 'epochs'\?"):
        load_recipe("shb", ["train.epoch=5"])


@pytest.mark.parametrize("override", ["train.epochs", "=5", "train..lr=1", "train.epochs.x=5"])
def test_a_malformed_override_is_refused(override):
    with pytest.raises(UsageError):
        load_recipe("shb", [override])


def test_a_misspelt_recipe_gets_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'nwpu'"):
        find_recipe("nwpuu")


def test_a_file_that_is_no_toml_is_refused(recipe_file):
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(recipe_file("epochs: 5"))


def test_strings_are_not_taken_for_numbers_nor_booleans_for_integers(recipe_file):
    with pytest.raises(UsageError, match=r"train.seed"):
        load_recipe(recipe_file("[train]\nseed = true\n"))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_no_table_makes_the_parser_fail_otherwise_than_by_a_request_error(value):
    try:
        recipe = parse_recipe({"train": value} if not isinstance(value, dict) else value, source="fuzz")
    except UsageError:
        return
    assert isinstance(recipe, Recipe)


def test_a_recipe_in_the_working_folder_comes_before_the_shipped_one(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "shb.toml").write_text("[train]\nepochs = 3\n")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("shb").train.epochs == 3
    assert load_recipe("nwpu").train.epochs == 700


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_a_summary_says_what_the_recipe_says(name):
    summary, recipe = summarise(name, recipe_files()[name]), load_recipe(name)
    assert (summary.name, summary.base, summary.data) == (recipe.name, recipe.model.base, recipe.data.format)
    assert summary.about


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("synthetic.size=31", "synthetic.size: expected greater than or equal to 32, got 31"),
        ("synthetic.max_heads=5001", "synthetic.max_heads: expected less than or equal to 5000, got 5001"),
        ("targets.sigma=0.01", "targets.sigma: expected greater than or equal to 0.02, got 0.01"),
    ],
)
def test_what_no_scene_or_target_can_be_is_refused_with_the_recipe(setting, fault):
    with pytest.raises(UsageError, match=fault):
        load_recipe("demo", [setting])


def test_a_summary_knows_the_defaults_and_does_not_stop_at_a_faulty_recipe(tmp_path):
    (tmp_path / "short.toml").write_text("")
    (tmp_path / "faulty.toml").write_text("# Mine.\nmodel = 3\n[data]\nformat = 'unheard'\n")
    (tmp_path / "none.toml").write_text("=")
    recipe, short = load_recipe(tmp_path / "short.toml"), summarise("short", tmp_path / "short.toml")
    assert (short.base, short.data, short.about) == (recipe.model.base, recipe.data.format, "")
    faulty = summarise("faulty", tmp_path / "faulty.toml")
    assert (faulty.base, faulty.data, faulty.about) == ("3", "unheard", "Mine.")
    with pytest.raises(UsageError, match=r"none\.toml' is not valid TOML"):
        summarise("none", tmp_path / "none.toml")


def test_a_zoom_from_large_to_small_is_refused():
    with pytest.raises(UsageError, match=r"data\.random_scale: expected the smaller number first, got \[1\.5, 0\.5\]"):
        parse_recipe({"data": {"random_scale": [1.5, 0.5]}}, source="test")
