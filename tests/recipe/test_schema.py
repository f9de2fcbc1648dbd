import json
import tomllib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sam_mprompt.errors import UsageError
from sam_mprompt.pretraining.recipe import PretrainRecipe
from sam_mprompt.recipe.find import find_recipe, recipe_files, summarise
from sam_mprompt.recipe.schema import Recipe, SamModel, load_recipe, parse_recipe


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
    assert (recipe.data.max_side, recipe.targets.kernel_size) == (2048, 15)
    if name.endswith("-hrnet"):
        assert (recipe.data.crop, recipe.data.min_side) == (400, 416)
        assert (recipe.tuning.method, recipe.model.base, recipe.model.gate) == ("full", "hrnet_w40", "segmenter")
    else:
        assert (recipe.tuning.method, recipe.tuning.bottleneck, recipe.model.base) == ("prompt", 192, "sam_vit_b")
        # Our own: whole windows of 14 tokens, of which none is padded, and tiles as large as the crops.
        assert {recipe.data.crop, recipe.data.min_side, recipe.infer.tile} == {2 * 14 * 16}


@pytest.mark.parametrize("name", PAPERS)
def test_every_header_shows_the_command_the_cost_and_the_papers_figures(name):
    text = find_recipe(name).read_text()
    assert f"sam-mprompt finetune --recipe {name}" in text
    assert "Expected cost" in text
    assert "The paper's figures" in text


def test_a_resolved_recipe_reads_back_equal():
    chosen = ["tuning.method=lora", "tuning.blocks=[0, 3]", "tuning.options.r=8", "data.random_scale=[0.8, 1.2]"]
    recipe = load_recipe("nwpu", chosen)
    assert parse_recipe(tomllib.loads(recipe.to_toml()), source="again") == recipe


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_a_resolved_recipe_holds_the_keys_of_its_encoder_method_and_format_only(name):
    recipe = load_recipe(name)
    table = tomllib.loads(recipe.to_toml())
    assert parse_recipe(tomllib.loads(recipe.to_toml()), source="again") == recipe
    assert table["model"].keys() == type(recipe.model).model_fields.keys()
    assert table["tuning"].keys() == type(recipe.tuning).model_fields.keys()
    assert ("synthetic" in table) == (recipe.data.format == "synthetic")


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_of_the_paper_is_its_dataset_and_backbone(name):
    lines = [line for line in find_recipe(name).read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 15
    assert load_recipe(name).dataset == name.split("-")[0]


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_a_shipped_recipe_says_nothing_twice(name):
    written = tomllib.loads(find_recipe(name).read_text())
    differs = load_recipe(name).model_dump(mode="json", exclude_defaults=True)
    for table, values in written.items():
        for key in values if isinstance(values, dict) else ():
            assert key in differs[table], f"{table}.{key} is the default"


def leaves(schema, prefix=""):
    for name, field in schema.model_fields.items():
        yield f"{prefix}{name}", field
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                assert inner.__doc__, inner
                yield from leaves(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("schema", [Recipe, PretrainRecipe])
def test_every_key_says_what_it_is(schema):
    found = list(leaves(schema))
    assert len(found) > 30
    assert [key for key, field in found if not field.description] == []


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
        "train.batch_size: expected at least 1, got 0",
        "targets.kernel_size: expected an odd number, got 4",
        "dat: unknown key. Did you mean 'data'?",
        "loss.context: expected 0 without the segmenter, which segmentation = 0 removes, got 0.5",
    ):
        assert part in message


def test_a_misspelt_choice_names_the_choices(recipe_file):
    with pytest.raises(UsageError, match="expected 'none' or 'segmenter', got 'segmentor'"):
        load_recipe(recipe_file('[model]\ngate = "segmentor"\n'))


FAULTY = """
dataset = "s/a"
speed = 3
[data]
fold = 3
min_side = 3000
crop = 16
[targets]
kernel_size = 1001
pseudo_mask = "files"
[model]
levels = [4]
gate = "segmentor"
stem_blocks = 2
[tuning]
method = "promt"
bottleneck = 0
[loss]
segmentation = 0.0
[train]
lr = 1e30
[infer]
tile = 96
overlap = 60
"""
SAYS = """
dataset: expected a name of letters, digits, dots, dashes and underscores, got 's/a'
speed: unknown key. Known: name, dataset, data, synthetic, targets, model, tuning, loss, train, infer.
data.fold: expected 1 with format = 'points' (only 'ucf50' has folds), got 3
data.min_side: expected 1 to max_side = 2048, got 3000
data.crop: expected at least 32, got 16
targets.kernel_size: expected at most 127, got 1001
targets.masks: expected the folder of the masks that pseudo_mask = 'files' reads, got none
model.levels: expected no such key with model.encoder = 'sam' (it belongs to 'timm'), got [4]
model.gate: expected 'none' or 'segmenter', got 'segmentor'. Did you mean 'segmenter'?
model.stem_blocks: expected 0 without a stem (stem_channels = 48 would make one), got 2
tuning.method: expected one of 34 names, got 'promt'. Did you mean 'prompt'?
tuning.bottleneck: expected at least 1, got 0
loss.context: expected 0 without the segmenter, which segmentation = 0 removes, got 0.5
train.lr: expected at most 1, got 1e+30
infer.overlap: expected 0 to half of tile = 96, got 60
"""


def test_contradictions_are_told_beside_faulty_values_a_line_each(recipe_file):
    with pytest.raises(UsageError) as raised:
        load_recipe(recipe_file(FAULTY))
    head, *lines = str(raised.value).splitlines()
    assert "15 faults" in head
    assert sorted(line.strip() for line in lines) == sorted(SAYS.strip().splitlines())


ALONE = [
    ("shb", ["tuning.method=promt"], "tuning.method: expected one of 34 names, got 'promt'. Did you mean 'prompt'?"),
    ("shb", ["tuning.method=adalora"], "got 'adalora': the training loop would have to step its rank schedule"),
    ("shb", ["tuning.method=zzz"], "tuning.method: expected one of prompt, side, none, full, adamss, "),
    ("shb", ["data.min_side=3000"], "data.min_side: expected 1 to max_side = 2048, got 3000"),
    ("shb", ["model.levels=[4]"], "model.levels: expected no such key with model.encoder = 'sam'"),
    ("shb", ["model.stem_stride=1"], "model.stem_stride: expected no such key with model.encoder = 'sam'"),
    ("shb", ["model.pretrained=false"], "it belongs to 'timm'), got False"),
    ("shb", ["tuning.options.r=4"], "with tuning.method = 'prompt' (it belongs to peft's methods), got {'r': 4}"),
    ("shb", ["tuning.method=side", "tuning.options.r=4"], "tuning.options: expected no such key"),
    ("shb", ["tuning.method=side", "tuning.blocks=[3]"], "tuning.blocks: expected no such key"),
    ("shb", ["tuning.method=none", "tuning.bottleneck=4"], "(it belongs to 'prompt' and 'side'), got 4"),
    ("shb", ["tuning.method=full", "tuning.placement=['mlp']"], "tuning.placement: expected no such key"),
    ("shb", ["tuning.method=lora", "tuning.bottleneck=4"], "with tuning.method = 'lora'"),
    ("shb", ["tuning.method=side", "model.fuse_levels=true"], "model.fuse_levels: tuning.method = 'side' and"),
    ("sha-swin", ["model.positions=slice"], "model.positions: expected no such key with model.encoder = 'timm'"),
    ("sha-swin", ["model.fuse_levels=true"], "model.fuse_levels: expected no such key"),
    ("sha-swin", ["model.stem_stride=1"], "model.stem_stride: expected 2, as only HRNet's stem can change"),
    ("sha-swin", ["model.base="], "model.base: expected the name of a timm model"),
    ("shb", ["data.fold=3"], "data.fold: expected 1 with format = 'shanghaitech'"),
    ("shb", ["synthetic.size=96"], "synthetic: expected no such table with data.format = 'shanghaitech'"),
    ("demo", ["data.cache=images"], "data.cache: expected 'none' as procedural scenes are painted"),
    ("shb", ["data.cache=features"], "data.cache: 'features' computes what is frozen once, but tuning.method"),
    ("shb", ["infer.overlap=225"], "infer.overlap: expected 0 to half of tile = 448, got 225"),
    ("shb", ["targets.masks=m"], "targets.masks: expected no folder"),
    ("shb", ["model.stem_blocks=3"], "model.stem_blocks: expected 0 without a stem"),
    ("shb", ["loss.density=0"], "density = 0 trains a segmenter alone"),
    ("shb", ["train.lr=1e30"], "train.lr: expected at most 1, got 1e+30"),
    ("shb", ["train.lr=nan"], "train.lr: expected"),
    ("shb", ["loss.density=inf"], "loss.density: expected"),
    ("shb", ["targets.kernel_size=1001"], "targets.kernel_size: expected at most 127, got 1001"),
    ("shb", ["targets.sigma=1e3"], "targets.sigma: expected at most 100, got 1000.0"),
    ("shb", ["data.crop=16"], "data.crop: expected at least 32, got 16"),
    ("shb", ["infer.tile=100000"], "infer.tile: expected at most 8192, got 100000"),
    ("shb", ["data.random_scale=[0.01, 1.0]"], "data.random_scale: expected at least 0.1, got 0.01"),
    ("shb", ["train.seed=4294967296"], "train.seed: expected less than 4294967296, got 4294967296"),
    ("shb", ["train.workers=1000"], "train.workers: expected at most 128, got 1000"),
]


@pytest.mark.parametrize(("name", "sets", "says"), ALONE, ids=[" ".join((name, *sets)) for name, sets, _ in ALONE])
def test_a_recipe_that_cannot_work_cannot_be_written(name, sets, says):
    with pytest.raises(UsageError) as raised:
        load_recipe(name, sets)
    assert says in str(raised.value)
    assert "1 fault:" in str(raised.value) or "data.jitter" in str(raised.value)


def test_a_table_of_one_member_is_told_when_it_is_made_too():
    with pytest.raises(ValueError, match="stem_blocks: expected 0 without a stem"):
        SamModel(stem_blocks=3)


def test_the_json_schema_tells_members_apart():
    schema = Recipe.model_json_schema()
    assert schema["properties"]["model"]["discriminator"]["propertyName"] == "encoder"
    assert set(schema["properties"]["tuning"]["discriminator"]["mapping"]) >= {"prompt", "side", "none", "full", "lora"}
    assert json.dumps(schema)


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


@pytest.mark.parametrize("table", ["model", "tuning", "data", "synthetic"])
@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"a": {}}, [[1]], {"b": [{}]}])
@pytest.mark.parametrize("key", ["method", "encoder", "options", "blocks", "format", ""])
def test_no_value_of_any_kind_is_a_traceback(table, key, value):
    if (table, key, value) == ("tuning", "options", {}):  # what 0.1 wrote beside any method
        assert parse_recipe({table: {key: value}}, source="test") == Recipe()
        return
    with pytest.raises(UsageError, match=rf"{table}\.{key}: "):
        parse_recipe({table: {key: value}}, source="test")


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
        ("synthetic.size=31", "synthetic.size: expected at least 32, got 31"),
        ("synthetic.max_heads=5001", "synthetic.max_heads: expected at most 5000, got 5001"),
        ("targets.sigma=0.01", "targets.sigma: expected at least 0.02, got 0.01"),
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
