"""Frozen weights that two processes share out between them; what comes of it is compared with two whole copies."""

import json
from pathlib import Path

import pytest
from faults.pairs import pair, pair_of

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe


@pytest.mark.slow
def test_a_process_holds_half_of_the_blocks_frozen_weights_and_all_that_trains(tmp_path, tiny_recipe):
    def measure(folder: Path) -> None:
        import torch

        from sam_mprompt.models.build import build_counter
        from sam_mprompt.training.ranks import join_ranks
        from sam_mprompt.training.sharding import shard_frozen, whole

        recipe = load_recipe(tiny_recipe)
        counter = build_counter(recipe.model, recipe.tuning, segmenter=False).counter
        held = [held_by(counter)]
        shard_frozen(counter, join_ranks().num_processes, "cpu")
        held.append(held_by(counter))
        density = counter(torch.rand(1, 3, 64, 64)).density.sum()
        held.append(held_by(counter))
        density.backward()
        held.append(held_by(counter))
        with whole(counter):
            held.append(held_by(counter))
        held.append(held_by(counter))
        (folder / "held.json").write_text(json.dumps(held))

    for child in pair_of(tmp_path, measure):
        assert (ended := child.end()).code == 0, ended.said
    of_both = [json.loads((tmp_path / f"rank-{number}" / "held.json").read_text()) for number in (0, 1)]
    for before, after, behind_forward, behind_backward, inside, behind in of_both:
        assert before == inside
        assert after == behind_forward == behind_backward == behind
        assert after["trained"] == before["trained"] > 0
        assert after["frozen elsewhere"] == before["frozen elsewhere"]
        assert after["frozen in blocks"] <= 0.51 * before["frozen in blocks"]
    assert sum(held[1]["frozen in blocks"] for held in of_both) == of_both[0][0]["frozen in blocks"]


def held_by(counter):
    """Return how many numbers of parameters this process holds."""
    from torch.distributed.tensor import DTensor

    held = dict.fromkeys(("trained", "frozen in blocks", "frozen elsewhere"), 0)
    for name, parameter in counter.named_parameters():
        own = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        frozen = "frozen in blocks" if ".blocks." in name else "frozen elsewhere"
        held["trained" if parameter.requires_grad else frozen] += own.numel()
    return held


@pytest.mark.slow
def test_state_and_adapter_of_a_shared_encoder_are_those_of_whole_ones_also_when_it_goes_on(
    tmp_path, tiny_recipe, crowd_folder, run_cli
):
    words = ["finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--set", "train.preview_every=1"]
    shared, whole = tmp_path / "shared", tmp_path / "whole"
    once, twice = ["--set", "train.epochs=1"], ["--set", "train.epochs=2"]
    for more in (
        ["--out", shared, "--set", "train.shard_encoder=true", *once],
        ["--out", shared, "--resume", *twice],
        ["--out", whole, *twice],
    ):
        for child in pair(tmp_path, [*words, *more]):
            assert (ended := child.end()).code == 0, ended.said
    assert load_recipe(shared / "recipe.toml").train.shard_encoder
    for file in ("state/state.safetensors", "adapter/adapter_model.safetensors"):
        assert (shared / file).read_bytes() == (whole / file).read_bytes()
    pictures = [sorted(path.name for path in (run / "previews").iterdir()) for run in (shared, whole)]
    assert pictures[0] == pictures[1] != []
    alone = run_cli(*words, "--out", shared, "--resume", "--set", "train.epochs=3", "--json")
    assert alone.code == 0, alone.err
    assert json.loads(alone.out)["epochs"] == 3


@pytest.mark.parametrize(
    ("recipe", "settings", "why"),
    [
        ("shb", ["tuning.method=full"], "tuning.method = 'full' is not"),
        ("shb", ["tuning.method=lora"], "tuning.method = 'lora' is not"),
        ("shb", ["train.compile=true"], "blocks that train.compile translates"),
        ("shb-lite0-side", ["data.cache=none"], "model.encoder = 'timm' is not shared out"),
        ("shb-tiny-side", [], "data.cache = 'features' runs no whole encoder"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_with_the_recipe(recipe, settings, why):
    load_recipe(recipe, settings)
    with pytest.raises(UsageError, match=f"train.shard_encoder.*expected false, as {why}.*got true"):
        load_recipe(recipe, ["train.shard_encoder=true", *settings])
