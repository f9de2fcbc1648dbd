import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import Interrupted, UsageError
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.finetune import finetune
from sam_mprompt.training.folds import recipe_of_fold
from sam_mprompt.training.held_out import HeldOut, mean_mae, read_held_out, write_held_out
from sam_mprompt.training.observer import Observer
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.splits import TrainingData, fold_numbers


@pytest.fixture(scope="session")
def unsplit_folder(crowd_folder, tmp_path_factory):
    """`crowd_folder` without its val split: eight training images."""
    folder = tmp_path_factory.mktemp("unsplit")
    for path in crowd_folder.iterdir():
        if path.suffix != ".txt":
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "train.txt").write_text("".join(f"{number}.png\n" for number in range(8)))
    (folder / "test.txt").write_text("9.png\n10.png\n")
    return folder


def recipe(tiny_recipe, *more):
    base = ["train.folds=2", "train.epochs=2", "train.fold_epochs=1", "train.preview_every=0"]
    return load_recipe(tiny_recipe, [*base, *more])


@pytest.fixture(scope="session")
def folded(tiny_recipe, unsplit_folder, tmp_path_factory):
    """A run in two folds; tests only read it."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "folded")
    return finetune(recipe(tiny_recipe), data=unsplit_folder, run=run), run


def test_all_images_train_where_folds_tell_the_error(tiny_recipe, unsplit_folder):
    data = TrainingData.open(recipe(tiny_recipe), unsplit_folder)
    assert (len(data.train.source), data.val) == (8, None)


def test_a_val_split_of_ones_own_stays_one(tiny_recipe, crowd_folder):
    data = TrainingData.open(recipe(tiny_recipe), crowd_folder)
    assert data.val is not None
    assert (len(data.train.source), len(data.val.source)) == (6, 3)


def test_more_folds_than_images_are_refused(tiny_recipe, unsplit_folder):
    with pytest.raises(UsageError, match=r"train\.folds: expected at most the 8 images"):
        TrainingData.open(recipe(tiny_recipe, "train.folds=9"), unsplit_folder)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_every_image_is_held_out_once_and_folds_are_of_equal_size(folds):
    samples = [Sample(Path(f"{index}.png"), (1, 1), None) for index in range(30)]
    numbers = fold_numbers(samples, folds)
    sizes = Counter(numbers)
    assert set(sizes) == set(range(1, folds + 1))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert fold_numbers(samples[::-1], folds) == numbers[::-1]


def test_a_folds_two_parts_share_no_image_and_leave_none_out(tiny_recipe, unsplit_folder):
    data = TrainingData.open(recipe(tiny_recipe), unsplit_folder)
    parts = [data.held_out(fold, 3) for fold in (1, 2, 3)]
    names = [{sample.image.name for sample in part.val.source.samples} for part in parts]
    assert sorted(name for own in names for name in own) == [f"{number}.png" for number in range(8)]
    for part, own in zip(parts, names, strict=True):
        assert own.isdisjoint(sample.image.name for sample in part.train.source.samples)
        assert len(own) + len(part.train.source) == 8


def test_held_out_images_choose_nothing(tiny_recipe):
    own = recipe_of_fold(recipe(tiny_recipe, "train.epochs=10", "train.fold_epochs=5", "loss.kappa=4"))
    assert (own.train.epochs, own.train.validate_every, own.train.folds, own.loss.kappa) == (5, 5, 0, 2)
    assert recipe_of_fold(recipe(tiny_recipe, "train.fold_epochs=0")).train.epochs == 2


def test_the_figures_are_those_of_images_that_were_not_seen(folded, unsplit_folder):
    result, run = folded
    rows = read_held_out(run.held_out)
    heads = [len(json.loads((unsplit_folder / f"{number}.json").read_text())["points"]) for number in range(8)]
    assert sorted(row.heads for row in rows) == sorted(heads)
    assert {row.fold for row in rows} == {1, 2}
    assert result.val_mae == pytest.approx(np.mean([abs(row.counted - row.heads) for row in rows]))
    assert (result.val.images, result.folds, result.epoch) == (8, 2, 2)
    assert result.mean_mae == pytest.approx(mean_mae(rows))


def test_the_adapter_holds_the_figures_and_its_card_says_what_they_are(folded):
    result, run = folded
    metrics = AdapterFolder.read(run.adapter).metrics
    assert (metrics["val"]["mae"], metrics["folds"], metrics["epoch"]) == (result.val_mae, 2, 2)
    card = (run.adapter / "README.md").read_text()
    assert "trained on all images" in card
    assert "held out in folds | 8" in card


def test_the_trainings_of_folds_go_when_they_are_done(folded):
    _, run = folded
    assert not run.folds.exists()


class _StopsInFold(Observer):
    """Asks a training to stop, as Ctrl-C does, once its second fold began."""

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)
        if line.startswith("fold 2"):
            raise Interrupted("stopped", about="stopped", run="inside")


def test_a_run_that_was_stopped_in_a_fold_goes_on_and_comes_to_the_same(folded, tiny_recipe, unsplit_folder, tmp_path):
    run, whole = RunFolder(tmp_path / "run"), read_held_out(folded[1].held_out)
    with pytest.raises(Interrupted):
        finetune(recipe(tiny_recipe), data=unsplit_folder, run=run, observer=_StopsInFold())
    assert {row.fold for row in read_held_out(run.held_out)} == {1}
    assert AdapterFolder.read(run.adapter).metrics["epoch"] == 2
    again = _StopsInFold()
    again.say = again.said.append
    result = finetune(recipe(tiny_recipe), data=unsplit_folder, run=run, resume=True, observer=again)
    assert [row.counted for row in read_held_out(run.held_out)] == pytest.approx([row.counted for row in whole])
    assert result.val_mae == pytest.approx(folded[0].val_mae)
    assert [line for line in again.said if line.startswith("fold")] == [
        "fold 2 of 2: 4 images are held out to tell the error"
    ]


def test_a_val_splits_counts_are_kept_too(trained_run):
    rows = read_held_out(RunFolder(trained_run).held_out)
    assert [row.fold for row in rows] == [0, 0, 0]
    best = AdapterFolder.read(RunFolder(trained_run).adapter).metrics["val"]["mae"]
    assert np.mean([abs(row.counted - row.heads) for row in rows]) == pytest.approx(best)


def test_the_mean_that_is_predicted_is_that_of_the_other_folds():
    rows = [HeldOut("a", 1, 10, 0.0), HeldOut("b", 1, 20, 0.0), HeldOut("c", 2, 40, 0.0)]
    assert mean_mae(rows) == pytest.approx((30 + 20 + 25) / 3)


def test_held_out_counts_are_read_as_they_were_written_and_damage_is_told(tmp_path):
    file, rows = tmp_path / "held_out.jsonl", [HeldOut("ä\udcff.png", 1, 3, 2.5)]
    assert read_held_out(file) == []
    write_held_out(file, rows)
    assert read_held_out(file) == rows
    file.write_text('{"image": 1}\n')
    with pytest.raises(UsageError, match="does not hold held-out counts"):
        read_held_out(file)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["train.folds=1"], "train.folds: expected 0 or at least 2"),
        (["train.folds=0"], "train.fold_epochs: expected 0 without folds, got 1"),
        (["data.format=synthetic", "targets.pseudo_mask=boxes"], "train.folds: expected 0 with procedural scenes"),
        (
            ["loss.density=0.0", "loss.context=0.0", "loss.online=false"],
            "train.folds: expected 0 for a segmenter alone",
        ),
    ],
)
def test_folds_that_cannot_be_are_refused_by_the_recipe(tiny_recipe, wrong, said):
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        recipe(tiny_recipe, *wrong)


def test_the_adapter_keeps_what_the_folds_counted_for_its_error_bars(folded):
    result, run = folded
    known = AdapterFolder.read(result.adapter).calibration
    rows = read_held_out(run.held_out)
    assert known.origin == "folds"
    assert (known.heads, known.counted) == (tuple(row.heads for row in rows), tuple(row.counted for row in rows))
