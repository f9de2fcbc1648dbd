import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sam_mprompt.data.augment import AnnotatedImage
from sam_mprompt.data.dataset import CropDataset, EpochBatches, collate, frame_targets
from sam_mprompt.recipe.schema import parse_recipe
from sam_mprompt.targets import context_radius, inside


class Source:
    """Frames of several sizes with random heads."""

    def __init__(self, sizes=((120, 160), (50, 70), (90, 40))):
        self.frames = []
        for i, (height, width) in enumerate(sizes):
            rng = np.random.default_rng(i)
            points = rng.uniform(0, (width, height), (30, 2)).astype(np.float32)
            boxes = np.concatenate([points - 3, points + 3], axis=1)
            image = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
            self.frames.append(AnnotatedImage(image, points, context_radius(points, k=3), boxes))

    def __len__(self):
        return len(self.frames)

    def frame(self, epoch, index):
        return self.frames[index]


def recipe(**data):
    table = {"data": {"crop": 64, **data}, "targets": {"pseudo_mask": "boxes"}}
    return parse_recipe(table, source="test")


def dataset(**data):
    settings = recipe(**data)
    return CropDataset(Source(), settings.data, settings.targets, seed=settings.train.seed, stride=4)


def test_a_crop_is_padded_to_its_side_says_so_and_has_no_target_there():
    crop = dataset(jitter=0.0)[0, 1]
    assert crop.image.shape == (3, 64, 64)
    assert crop.size == (50, 64)
    assert not crop.image[:, 50:].any()
    assert collate([crop, dataset()[0, 0]]).sizes == [(50, 64), (64, 64)]
    for cells in crop.targets.maps.values():
        assert cells.shape == (1, 16, 16)
        assert not cells[0, 13:].any()


def test_heads_at_the_edge_of_a_small_image_are_counted_in_full():
    crop = dataset()[0, 1]
    assert float(crop.targets.density.sum()) == pytest.approx(
        inside(Source().frames[1].points, (50, 70)).sum() - _cut_off(crop), abs=1e-3
    )


def _cut_off(crop):
    """Heads of the 70 pixel wide image outside the 64 pixel wide crop, told by the same crop's own points."""
    rng = np.random.default_rng((0, *crop.key))
    rng.uniform(np.log(1.0), np.log(1.0))
    rng.integers(1)
    left = int(rng.integers(70 - 64 + 1))
    x = Source().frames[1].points[:, 0]
    return int(((x < left) | (x >= left + 64)).sum())


def test_the_same_key_always_gives_the_same_crop_and_epochs_differ():
    first, again, other = dataset()[0, 0], dataset()[0, 0], dataset()[1, 0]
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.targets.density, again.targets.density)
    assert not torch.equal(first.image, other.image)


def test_worker_processes_give_the_crops_of_the_main_process():
    def load(workers):
        batches = EpochBatches(3, 2, seed=0)
        return list(DataLoader(dataset(), batch_sampler=batches, collate_fn=collate, num_workers=workers))

    for ours, theirs in zip(load(0), load(2), strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.targets.context_mask, theirs.targets.context_mask)
        assert ours.keys == theirs.keys


def test_the_context_of_a_crop_knows_the_heads_outside_it():
    points = np.array([[10, 10], [10, 18], [18, 10], [70, 10], [70, 18], [78, 10], [78, 18]], np.float32)
    frame = AnnotatedImage(np.zeros((100, 100, 3), np.uint8), points, context_radius(points, k=3), None)
    whole = frame_targets(frame, recipe().targets, stride=1)
    cut = frame.moved(frame.image[:, :40], (1.0, 1.0), (0.0, 0.0))
    part = frame_targets(cut, recipe().targets, stride=1)
    np.testing.assert_array_equal(part.context_mask, whole.context_mask[:, :40])


@pytest.mark.parametrize(("source", "heads_in"), [("boxes", True), ("points", True), ("empty", False)])
def test_pseudo_masks_come_from_boxes_points_or_nothing(source, heads_in):
    targets = recipe().targets.model_copy(update={"pseudo_mask": source})
    frame = Source().frames[0]
    mask = frame_targets(frame, targets, stride=4).pseudo_mask
    cells = frame.points.astype(int) // 4
    assert mask[cells[:, 1], cells[:, 0]].all() == heads_in
    assert not mask.all()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_shows_every_image_and_all_processes_equally_many_batches(world):
    seen, lengths = [], []
    for rank in range(world):
        batches = EpochBatches(11, 2, seed=5, rank=rank, world=world)
        batches.start(3)
        drawn = list(batches)
        lengths.append(len(drawn))
        assert all(len(batch) == 2 for batch in drawn)
        seen += [index for batch in drawn for _, index in batch]
    assert set(seen) == set(range(11))
    assert len(set(lengths)) == 1


def test_an_epoch_resumed_in_its_middle_goes_on_where_it_was():
    batches = EpochBatches(11, 2, seed=5)
    batches.start(3)
    whole = list(batches)
    batches.start(3, 4)
    assert list(batches) == whole[4:]
    batches.start(4)
    assert list(batches) != whole


def test_the_heads_of_a_crop_are_those_inside_it_and_only_made_when_asked_for():
    settings = recipe(flip=1.0, random_scale=(0.75, 2.0))
    how = {"seed": settings.train.seed, "stride": 4}
    plain = CropDataset(Source(), settings.data, settings.targets, **how)
    pointed = CropDataset(Source(), settings.data, settings.targets, points=True, **how)
    for key in [(0, 0), (0, 1), (1, 2)]:
        crop, same = pointed[key], plain[key]
        assert same.targets.heads is None
        assert torch.equal(crop.image, same.image)
        heads = crop.targets.heads
        assert heads is not None
        assert heads.per_crop == (len(heads.points),)
        assert heads.per_cell((16, 16), 4).sum() == pytest.approx(float(same.targets.density.sum()), abs=1e-3)
        marked = torch.from_numpy(same.targets.density.numpy() > 0)
        assert marked[heads.per_cell((16, 16), 4)[0] > 0].all()


def test_blur_and_pixel_noise_change_pixels_alone_and_draw_nothing_where_they_are_off():
    plain, changed = dataset()[0, 0], dataset(blur=3.0, pixel_noise=0.2)[0, 0]
    assert not torch.equal(plain.image, changed.image)
    for name, cells in plain.targets.maps.items():
        assert torch.equal(cells, changed.targets.maps[name])
    assert torch.equal(dataset(blur=0.0, pixel_noise=0.0)[0, 0].image, plain.image)
