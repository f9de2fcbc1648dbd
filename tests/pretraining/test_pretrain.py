import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sam_mprompt.errors import Interrupted, RunError, UsageError
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.pretraining.initialisation import build
from sam_mprompt.pretraining.objective import objective
from sam_mprompt.pretraining.optimizer import learning_rate
from sam_mprompt.pretraining.pretrain import PretrainingSession, pretrain
from sam_mprompt.pretraining.recipe import load_pretrain_recipe
from sam_mprompt.pretraining.scenes import PromptedScenes
from sam_mprompt.pretraining.teacher import Teacher
from sam_mprompt.recipe.find import recipe_files
from sam_mprompt.tensor_files import read_tensors
from sam_mprompt.training.observer import SILENT, Observer
from sam_mprompt.training.run import RunFolder

SMALL = """
[encoder]
embed_dim = 16
depth = 2
num_heads = 2
global_attn_indexes = [1]
out_channels = 8
window_size = 2
grid = 8
span = 4
[scenes]
size = 64
whole_every = 2
val = 2
[task]
prompts = 6
embedding = 4
[train]
steps = 6
scenes = 1
lr = 3e-3
ema = 0.9
log_every = 2
validate_every = 4
workers = 0
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


TEACHER = ("teacher.base=test_efficientnet", "teacher.pretrained=false", "teacher.crop=32", "teacher.crops=2")


@pytest.fixture
def photographs(tmp_path):
    """What asks a small teacher of random weights about two small photographs."""
    rng = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for name in "ab":
        pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{name}.png")
    return (*TEACHER, f"teacher.photographs={tmp_path / 'photographs'}")


RARELY = "train.validate_every=1000"
OF_THE_CLOCK = {"seconds", "scenes_per_s", "memory_mb"}


def run(recipe_file, out, *overrides, resume=False, observer=SILENT):
    return pretrain(load_pretrain_recipe(recipe_file, overrides), RunFolder(out), resume=resume, observer=observer)


def metrics_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_a_checkpoint_that_loads_as_a_sam_encoder(tmp_path, recipe_file):
    checkpoint = run(recipe_file, tmp_path / "run")
    assert checkpoint == tmp_path / "run" / "small.safetensors"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "state",
        "metrics.jsonl",
        "recipe.toml",
        "small.safetensors",
    }
    assert {tensor.dtype for tensor in load_file(checkpoint).values()} == {torch.float16}
    encoder = SamEncoder.from_checkpoint(checkpoint)
    assert encoder.config == SamConfig(
        embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=8, window_size=2, grid=8, span=4
    )
    assert encoder(torch.zeros(1, 3, 32, 48))[0].shape == (1, 8, 2, 3)


def test_the_checkpoint_holds_the_averaged_encoder_and_no_decoder(tmp_path, recipe_file):
    session = PretrainingSession.open(load_pretrain_recipe(recipe_file), RunFolder(tmp_path / "run"))
    saved = load_file(session.fit())
    averaged = {name: value for name, value in session.average.values.items() if name.startswith("encoder.")}
    assert saved.keys() == {name.removeprefix("encoder.") for name in averaged}
    assert all(torch.equal(saved[name.removeprefix("encoder.")], value.half()) for name, value in averaged.items())
    trained = session.encoder.state_dict()
    assert any(not torch.equal(saved[name], trained[name].half()) for name in saved)


def test_metrics_tell_the_losses_and_how_well_held_out_things_are_segmented(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "run")
    records = metrics_of(tmp_path / "run")
    assert [record["step"] for record in records] == [2, 4, 6]
    assert ["val_iou" in record for record in records] == [False, True, True]
    assert 0 <= records[-1]["val_iou"] <= 1
    for key in ("val_things", "val_outlines", "val_centres", "loss", "masks", "maps", "scenes_per_s"):
        assert 0 < records[-1][key] < 100, key
    assert records[-1]["lr"] < records[0]["lr"]


@pytest.mark.slow
def test_pretraining_learns_to_segment(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "run", "train.steps=150", "train.log_every=30", "train.lr=1e-2", RARELY)
    records = metrics_of(tmp_path / "run")
    assert records[-1]["masks"] < 0.9 * records[0]["masks"]
    assert records[-1]["loss"] < 0.95 * records[0]["loss"]


class StopAfter(Observer):
    """Asks to stop, as Ctrl-C does, after so many steps."""

    def __init__(self, steps):
        self.steps = steps

    def batch(self, done, total, values):
        if values and done == self.steps:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("taught", [False, True])
def test_a_resumed_run_reaches_weights_and_metrics_of_an_uninterrupted_one(tmp_path, recipe_file, photographs, taught):
    overrides = photographs if taught else ()
    whole = load_file(run(recipe_file, tmp_path / "whole", *overrides))
    with pytest.raises(Interrupted, match="the state is saved") as told:
        run(recipe_file, tmp_path / "cut", *overrides, observer=StopAfter(5))
    assert told.value.facts == {"run": tmp_path / "cut"}
    assert [record["step"] for record in metrics_of(tmp_path / "cut")] == [2, 4]
    resumed = load_file(run(recipe_file, tmp_path / "cut", *overrides, resume=True))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    states = [read_tensors(tmp_path / name / "state" / "state.safetensors") for name in ("whole", "cut")]
    assert taught == any("imitator.statistics" in name for name in states[0])
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    records = [
        [
            {key: value for key, value in record.items() if key not in OF_THE_CLOCK}
            for record in metrics_of(tmp_path / name)
        ]
        for name in ("whole", "cut")
    ]
    assert records[0] == records[1]
    assert [record["step"] for record in records[0]] == [2, 4, 6]


def test_a_stop_request_after_the_last_step_changes_nothing(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "run", observer=StopAfter(6))
    assert [record["step"] for record in metrics_of(tmp_path / "run")] == [2, 4, 6]


def test_a_worker_that_is_lost_makes_one_line(tmp_path, recipe_file, monkeypatch):
    class Lost:
        def __iter__(self):
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(PretrainingSession, "batches", lambda _: Lost())
    with pytest.raises(RunError, match=r"A data worker \(process 7\) is killed"):
        run(recipe_file, tmp_path / "run")


def test_a_stop_request_is_heard_while_no_batch_comes(tmp_path, recipe_file, monkeypatch):
    class Stuck:
        def __iter__(self):
            return self

        def __next__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError("DataLoader timed out after 1 seconds")

    monkeypatch.setattr(PretrainingSession, "batches", lambda _: Stuck())
    with pytest.raises(Interrupted, match="the state is saved"):
        run(recipe_file, tmp_path / "run")


@pytest.mark.slow
def test_workers_give_the_weights_that_the_main_process_gives(tmp_path, recipe_file):
    alone, helped = (load_file(run(recipe_file, tmp_path / str(n), f"train.workers={n}")) for n in (0, 1))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def test_a_finished_run_can_be_resumed_and_changes_nothing(tmp_path, recipe_file):
    before = run(recipe_file, tmp_path / "run").read_bytes()
    assert run(recipe_file, tmp_path / "run", resume=True).read_bytes() == before


def test_a_time_limit_ends_the_schedule_early(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "run", "train.steps=100000", "train.minutes=0.0001")
    records = metrics_of(tmp_path / "run")
    assert len(records) == 1
    assert records[0]["step"] < 10
    assert records[0]["done"] >= 1
    assert records[0]["lr"] == pytest.approx(0)
    assert "val_iou" in records[0]


def test_the_learning_rate_warms_up_and_falls_to_zero(recipe_file):
    recipe = load_pretrain_recipe(recipe_file, ["train.steps=100", "train.warmup=0.1", "train.lr=1.0"])
    rates = [learning_rate(recipe.train, done) for done in (0, 0.05, 0.1, 0.55, 1)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0], abs=2e-3)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_state(tmp_path, recipe_file, monkeypatch):
    session = PretrainingSession.open(load_pretrain_recipe(recipe_file), RunFolder(tmp_path / "run"))

    def poisoned(*given):
        return {
            name: term * (float("nan") if session.progress.step == 3 else 1) for name, term in objective(*given).items()
        }

    monkeypatch.setattr("sam_mprompt.pretraining.pretrain.objective", poisoned)
    with pytest.raises(RunError, match=r"not finite in step 4: loss nan"):
        session.fit()
    assert json.loads((tmp_path / "run" / "state" / "progress.json").read_text())["progress"]["step"] == 2
    assert all(
        tensor.isfinite().all() for tensor in read_tensors(tmp_path / "run" / "state" / "state.safetensors").values()
    )


def test_a_crop_without_things_does_not_break_a_step(tmp_path, recipe_file):
    recipe = load_pretrain_recipe(recipe_file, ["scenes.whole_every=1"])
    session = PretrainingSession.open(recipe, RunFolder(tmp_path / "run"))
    batch = PromptedScenes(recipe.scenes, scenes=1, prompts=6, seed=0)[0]
    batch.labels.zero_()
    batch.valid.fill_(False)
    values = session.train_batch(batch)
    assert values["masks"] == 0
    assert values["maps"] > 0


def test_fresh_weights_depend_on_the_seed_alone(recipe_file):
    def weights(seed):
        torch.manual_seed(seed + 5)  # what came before must not matter
        return build(load_pretrain_recipe(recipe_file, [f"train.seed={seed}"]))[1].patch_embed.proj.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_tokens_start_as_uncorrelated_components_of_variance_one_also_on_scenes_that_were_not_looked_at(recipe_file):
    recipe = load_pretrain_recipe(recipe_file)
    _, encoder = build(recipe)
    images = PromptedScenes(recipe.scenes, scenes=40, prompts=1, seed=9)[0].images.float() / 255
    normalised = (images - torch.tensor(encoder.mean)[:, None, None]) / torch.tensor(encoder.std)[:, None, None]
    covariance = torch.cov(encoder.patch_embed(normalised).detach().flatten(0, 2).T)
    assert covariance.diagonal().mean() == pytest.approx(1, abs=0.4)
    apart = covariance - torch.diag(covariance.diagonal())
    assert apart.abs().mean() < 0.2


def test_the_colours_are_learned_first_and_can_be_left_out(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "with", "train.steps=40", "train.log_every=10", "train.lr=1e-2", RARELY)
    records = metrics_of(tmp_path / "with")
    assert records[-1]["colours"] < 0.8 * records[0]["colours"]
    run(recipe_file, tmp_path / "without", "task.colours=0.0")
    assert "colours" not in metrics_of(tmp_path / "without")[-1]


def test_a_teacher_is_learned_from_and_told_of_in_the_metrics_and_is_not_in_the_checkpoint(
    tmp_path, recipe_file, photographs
):
    plain = load_file(run(recipe_file, tmp_path / "plain"))
    taught = load_file(run(recipe_file, tmp_path / "taught", *photographs))
    assert plain.keys() == taught.keys()
    assert not all(torch.equal(plain[name], taught[name]) for name in plain)
    records = metrics_of(tmp_path / "taught")
    assert all(record["teacher"] > 0 for record in records)
    assert ["val_teacher" in record for record in records] == [False, True, True]
    shares = ("masks", "maps", "offsets", "colours", "teacher")  # each of weight 1
    assert records[0]["loss"] == pytest.approx(sum(records[0][name] for name in shares), rel=1e-4)
    assert not any("teacher" in key for record in metrics_of(tmp_path / "plain") for key in record)


def test_with_a_teacher_a_run_begins_as_without(recipe_file, tmp_path, photographs):
    sessions = [
        PretrainingSession.open(load_pretrain_recipe(recipe_file, overrides), RunFolder(tmp_path / "run"))
        for overrides in ((), photographs)
    ]
    plain, taught = (session.model.state_dict() for session in sessions)
    assert all(torch.equal(plain[name], taught[name]) for name in plain)
    assert {name.partition(".")[0] for name in taught.keys() - plain.keys()} == {"imitator"}
    (scenes, nothing), (same, crops) = (next(iter(session.batches())) for session in sessions)
    assert all(torch.equal(*pair) for pair in zip(vars(scenes).values(), vars(same).values(), strict=True))
    assert nothing is None
    assert crops.shape == (2, 3, 32, 32)


def test_a_step_learns_of_the_photographs_what_the_teacher_says_of_them(tmp_path, recipe_file, photographs):
    def after_a_step(of_photographs):
        recipe = load_pretrain_recipe(recipe_file, [*photographs, "train.warmup=0.0"])
        session = PretrainingSession.open(recipe, RunFolder(tmp_path / "run"))
        scenes, crops = next(iter(session.batches()))
        return session.train_batch(scenes, crops if of_photographs else None), session.model.imitator.state_dict()

    (values, imitator), (without, other) = after_a_step(True), after_a_step(False)
    assert values["teacher"] != without["teacher"]
    assert values["masks"] == without["masks"]
    assert not all(torch.equal(imitator[name], other[name]) for name in imitator)


def test_a_teacher_without_photographs_is_asked_about_the_scenes(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "run", *TEACHER)
    assert 0 < metrics_of(tmp_path / "run")[-1]["val_teacher"] < 100


@pytest.mark.slow
def test_pretraining_learns_a_teachers_features_of_photographs(tmp_path, recipe_file, photographs):
    run(recipe_file, tmp_path / "run", *photographs, "train.steps=150", "train.log_every=30", "train.validate_every=30")
    records = metrics_of(tmp_path / "run")
    assert records[-1]["val_teacher"] < 0.97 * records[0]["val_teacher"]
    assert records[-1]["teacher"] < records[0]["teacher"]


def test_an_encoder_can_start_as_another_base(tmp_path, recipe_file):
    first = run(recipe_file, tmp_path / "run")
    recipe = load_pretrain_recipe(recipe_file, [f"train.init_from={first}", "train.seed=3"])
    model, encoder = build(recipe)
    started = load_file(first)
    assert all(torch.equal(started[name], tensor.half()) for name, tensor in encoder.state_dict().items())
    fresh, _ = build(load_pretrain_recipe(recipe_file, ["train.seed=3"]))
    decoders = zip(model.decoder.parameters(), fresh.decoder.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in decoders)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_base_of_another_shape_is_refused_as_a_start(recipe_file):
    expected = (
        r"train.init_from = 'sam-tiny' has another shape than the recipe's \[encoder\]: embed_dim = 192 instead of 16"
    )
    with pytest.raises(UsageError, match=expected):
        build(load_pretrain_recipe(recipe_file, ["train.init_from=sam-tiny"]))


def test_the_recipe_of_a_distilled_base_goes_on_from_the_bundled_one_with_images_that_its_teacher_can_see():
    recipe, plain = load_pretrain_recipe("sam-tiny-distilled"), load_pretrain_recipe("sam-tiny")
    assert (recipe.encoder, recipe.scenes, recipe.task) == (plain.encoder, plain.scenes, plain.task)
    assert build(recipe)[1].pos_embed.any()
    untrained = recipe.teacher.model_copy(update={"pretrained": False})
    sides = [recipe.scenes.size, recipe.scenes.size // recipe.scenes.parts, recipe.teacher.crop]
    assert Teacher.of(untrained, sides).strides == (8, 16)


def test_the_bundled_recipe_is_sams_architecture_in_five_to_six_million_parameters_and_twelve_megabytes():
    recipe = load_pretrain_recipe("sam-tiny")
    _, encoder = build(recipe)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    assert 5e6 < parameters < 6e6
    assert 2 * parameters < 12e6
    tiny = CONFIGS["tiny"]
    assert (encoder.config.embed_dim, encoder.config.depth, encoder.config.global_attn_indexes) == (
        tiny.embed_dim,
        tiny.depth,
        tiny.global_attn_indexes,
    )
    assert recipe.scenes.size == 16 * recipe.encoder.span
    assert recipe.scenes.size // recipe.scenes.parts == 16 * recipe.encoder.window_size


def test_pretraining_recipes_are_not_offered_as_finetuning_recipes():
    assert "sam-tiny" not in recipe_files()


def test_a_resolved_recipe_reads_back_equal(tmp_path, recipe_file):
    recipe = load_pretrain_recipe(recipe_file, ["train.minutes=2.5"])
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    assert load_pretrain_recipe(tmp_path / "again.toml") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepps=3", r"train.stepps: unknown key. Did you mean 'steps'\?"),
        ("train.lr=-1", r"train.lr: expected greater than 0, got -1"),
        ("scenes.size=100", r"scenes.size: expected a multiple of 32 \(16 pixels \* parts\), got 100"),
        ("task.embedding=0", r"task.embedding: expected at least 1"),
        ("teacher.crop=100", r"teacher.crop: expected a multiple of 16 pixels, got 100"),
        ("teacher.levels=[]", r"teacher.levels: expected one of the strides 4, 8 and 16 at least, got none"),
        ("teacher.levels=[8, 32]", r"teacher.levels.*: expected 4, 8 or 16"),
        ("teacher.photographs=packages", r"teacher.photographs: expected none without a teacher .*, got 'packages'"),
        ("encoder.embed_dim='wide'", r"encoder.embed_dim: expected a valid integer, got 'wide'"),
    ],
)
def test_faults_name_the_key_and_what_was_expected(recipe_file, override, message):
    with pytest.raises(UsageError, match=message):
        load_pretrain_recipe(recipe_file, [override])


def test_an_unknown_recipe_names_its_neighbour():
    with pytest.raises(UsageError, match=r"No recipe 'sam-tin'. Did you mean 'sam-tiny'\?"):
        load_pretrain_recipe("sam-tin")


def test_a_state_of_another_encoder_is_refused(tmp_path, recipe_file):
    run(recipe_file, tmp_path / "run")
    with pytest.raises(UsageError, match="does not fit the recipe"):
        run(recipe_file, tmp_path / "run", "encoder.embed_dim=32", resume=True)
