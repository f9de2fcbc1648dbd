"""Frozen weights that two processes share out between them; what comes of it is compared with two whole copies."""

import gc
import json
from pathlib import Path

import pytest
from faults.pairs import pair, pair_of

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.schema import load_recipe


@pytest.mark.slow
def test_a_process_holds_half_of_the_blocks_frozen_weights_and_all_that_trains(tmp_path, tiny_recipe, crowd_folder):
    def measure(folder: Path) -> None:
        import torch

        from sam_mprompt.training.ranks import join_ranks
        from sam_mprompt.training.run import RunFolder
        from sam_mprompt.training.session import TrainingSession
        from sam_mprompt.training.sharding import whole
        from sam_mprompt.training.splits import TrainingData

        join_ranks()
        held = {}
        for shared in (False, True):
            recipe = load_recipe(tiny_recipe, [f"train.shard_encoder={str(shared).lower()}"])
            data = TrainingData.open(recipe, crowd_folder)
            session = TrainingSession.open(recipe, data, RunFolder(folder / str(shared)))
            begun = held_by(session.counter)
            density = session.counter(torch.rand(1, 3, 64, 64)).density.sum()
            assert held_by(session.counter) == begun
            density.backward()
            assert held_by(session.counter) == begun
            with whole(session.counter):
                inside = held_by(session.counter)
            assert held_by(session.counter) == begun
            session.parts.optimizer.zero_grad()
            held[str(shared)] = [begun, inside, bytes_of_tensors()]
            del session, density
        (folder / "held.json").write_text(json.dumps(held))

    for child in pair_of(tmp_path, measure):
        assert (ended := child.end()).code == 0, ended.said
    parts = []
    for number in (0, 1):
        held = json.loads((tmp_path / f"rank-{number}" / "held.json").read_text())
        (alone, _, bytes_alone), (part, inside, bytes_shared) = held["False"], held["True"]
        assert inside == alone
        assert part | {"frozen in blocks": 0} == alone | {"frozen in blocks": 0}
        assert part["trained"] > 0
        assert part["frozen in blocks"] <= 0.51 * alone["frozen in blocks"]
        assert bytes_alone - bytes_shared > 0.45 * 4 * alone["frozen in blocks"]  # nobody else holds them either
        parts.append(part["frozen in blocks"])
    assert sum(parts) == alone["frozen in blocks"]


def held_by(counter):
    """Return how many numbers of parameters this process holds."""
    from torch.distributed.tensor import DTensor

    held = dict.fromkeys(("trained", "frozen in blocks", "frozen elsewhere"), 0)
    for name, parameter in counter.named_parameters():
        own = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        frozen = "frozen in blocks" if ".blocks." in name else "frozen elsewhere"
        held["trained" if parameter.requires_grad else frozen] += own.numel()
    return held


def bytes_of_tensors():
    """Return the bytes of all tensors that anything of this process still holds, shared memory once."""
    import torch
    from torch.distributed.tensor import DTensor

    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, torch.nn.Parameter, DTensor)]
    dense = [t for t in tensors if t.layout is torch.strided and not t.is_meta]  # other tests left theirs
    storages = [(t.to_local() if isinstance(t, DTensor) else t).untyped_storage() for t in dense]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


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
