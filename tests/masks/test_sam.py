import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from small_whole_sam import parts_of_decoder, write_whole_sam

from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import UsageError
from sam_mprompt.masks.point_prompter import PointPrompter
from sam_mprompt.masks.sam import SamMasks, choose, draw, reach, tiles
from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder


@pytest.fixture(scope="module")
def whole_sam(tmp_path_factory):
    """A small SAM with random weights in the official file format."""
    return write_whole_sam(tmp_path_factory.mktemp("sam") / "sam_small.pth")


def test_a_prompts_answer_does_not_depend_on_the_others_in_its_batch(whole_sam):
    prompter = PointPrompter.from_checkpoint(whole_sam)
    points = torch.rand(5, 2) * 60
    with torch.inference_mode():
        features = prompter.encode(torch.randn(1, 3, 64, 96))
        logits, scores = prompter.answer(features, points)
        alone = [prompter.answer(features, point[None]) for point in points]
    assert logits.shape == (5, 3, 16, 24)
    assert prompter.cell == 4
    torch.testing.assert_close(logits, torch.cat([one for one, _ in alone]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores, torch.cat([one for _, one in alone]), atol=1e-4, rtol=1e-4)


def test_its_decoder_answers_as_segment_anythings_own_model(whole_sam):
    from segment_anything.modeling import Sam

    prompter = PointPrompter.from_checkpoint(whole_sam)
    features, points = torch.randn(1, 32, 4, 4), torch.tensor([[10.0, 20.0], [50.0, 7.0]])
    tensors = torch.load(whole_sam, weights_only=True)
    official = Sam(prompter.encoder, *parts_of_decoder())
    official.load_state_dict(tensors, strict=False)
    sparse, dense = official.prompt_encoder((points[:, None], torch.ones(2, 1)), None, None)
    with torch.inference_mode():
        expected, _ = official.mask_decoder(features, official.prompt_encoder.get_dense_pe(), sparse, dense, True)
        found, _ = prompter.answer(features, points)
    torch.testing.assert_close(found, expected)


def test_an_encoder_alone_cannot_make_masks(tmp_path):
    config = SamConfig(
        embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=8, window_size=2, grid=4
    )
    save_file(SamEncoder.random(config).state_dict(), tmp_path / "encoder.safetensors")
    for base in (tmp_path / "encoder.safetensors", "random:tiny"):
        with pytest.raises(UsageError, match=r"decoder|whole SAM"):
            PointPrompter.from_checkpoint(base)


def square(side, *, at=(8, 8), size=16):
    logits = torch.full((size, size), -5.0)
    half = side // 2
    logits[at[1] - half : at[1] + half, at[0] - half : at[0] + half] = 5.0
    return logits


def guesses(*squares):
    return torch.stack(squares)[None]


POINT = torch.tensor([[32.0, 32.0]])  # cell (8, 8) of 4 pixels


def test_the_surest_guess_that_a_head_can_fill_is_taken():
    small, head, person = square(2), square(4), square(12)
    radius = torch.tensor([10.0])  # 314 square pixels; the guesses cover 64, 256 and 2304
    for scores, expected in (([0.5, 0.8, 0.95], head), ([0.9, 0.8, 0.95], small)):
        best = choose(guesses(small, head, person), torch.tensor([scores]), POINT, radius, 4)
        assert torch.equal(best[0], expected)


def test_where_every_guess_is_too_large_the_smallest_is_taken():
    best = choose(guesses(square(12), square(8), square(14)), torch.tensor([[0.9, 0.1, 0.5]]), POINT, torch.ones(1), 4)
    assert torch.equal(best[0], square(8))


def test_a_guess_beside_its_point_is_not_taken_while_another_holds_it():
    beside = square(4, at=(3, 3))
    best = choose(guesses(beside, square(4), beside), torch.tensor([[0.9, 0.1, 0.8]]), POINT, torch.full((1,), 20.0), 4)
    assert torch.equal(best[0], square(4))


def test_a_head_ends_where_its_neighbours_begin():
    mask = np.zeros((64, 64), bool)
    draw(mask, np.full((16, 16), 5.0, np.float32), np.array([20.0, 30.0]), 6.0, 4)
    assert mask.sum() == pytest.approx(math.pi * 36, rel=0.1)
    assert mask[30, 20]
    assert not mask[30, 27:].any()


def test_a_head_that_sam_saw_nothing_of_is_a_small_disc():
    mask = np.zeros((64, 64), bool)
    draw(mask, np.full((16, 16), -5.0, np.float32), np.array([1.0, 63.0]), 8.0, 4)
    assert mask[63, 1]
    assert 0 < mask.sum() < math.pi * 16


def test_the_reach_is_bounded_by_neighbours_by_the_image_and_from_below():
    points = np.array([[10, 10], [30, 10], [30, 11], [400, 400], [400, 400]], np.float32)
    radius = reach(points, (600, 480))
    assert radius[0] == pytest.approx(15)
    assert radius[1] == 3  # its neighbour is one pixel away
    assert radius[3] == radius[4] == 40  # duplicates are one head, which the image bounds


@given(st.integers(1, 40), st.integers(16, 3000), st.integers(16, 3000), st.integers(0, 2**32 - 1))
def test_every_point_lies_in_one_tile_of_at_most_1024_pixels(count, height, width, seed):
    points = np.random.default_rng(seed).uniform(0, (width, height), (count, 2)).astype(np.float32)
    seen = np.zeros(count, int)
    for top, left, tall, wide, own in tiles(points, (height, width)):
        assert max(tall, wide) <= 1024
        assert top + tall <= height
        assert left + wide <= width
        inside = (points[own] >= (left, top)) & (points[own] <= (left + wide, top + tall))
        assert inside.all()
        seen[own] += 1
    assert (seen == 1).all()


def test_every_head_of_an_image_is_marked_and_nothing_far_from_one(whole_sam):
    source = SamMasks(PointPrompter.from_checkpoint(whole_sam), "sam_small", device=torch.device("cpu"))
    rng = np.random.default_rng(0)
    points = rng.uniform(5, (195, 115), (40, 2)).astype(np.float32)
    image = rng.integers(0, 255, (120, 200, 3)).astype(np.uint8)
    mask = source(image, Sample("a.jpg", (120, 200), points))
    assert mask.shape == (120, 200)
    near = np.hypot(*(np.mgrid[:120, :200][::-1, None] + 0.5 - points.T[:, :, None, None]))
    assert near[:, mask].min(0).max() <= 120 / 12 + 1
    hit = [mask[max(0, int(y) - 2) : int(y) + 3, max(0, int(x) - 2) : int(x) + 3].any() for x, y in points]
    assert np.mean(hit) == 1


class Drawer(torch.nn.Module):
    """Stands for SAM with hand-made answers: a person of 120 pixels, a head of 12, and a thing elsewhere."""

    cell = 4

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Identity()
        self.encoder.mean, self.encoder.std, self.encoder.size_divisor = [0.0] * 3, [1.0] * 3, 16
        self.calls = []

    def encode(self, images):
        return images

    def answer(self, features, points):
        self.calls.append(len(points))
        rows, columns = (torch.arange(side // 4) * 4 + 2 for side in features.shape[-2:])
        away = torch.maximum((columns - points[:, :1])[:, None].abs(), (rows - points[:, 1:])[..., None].abs())
        person, head, thing = 60 - away, 6 - away, torch.where((away > 200) & (away < 202), 5.0, -5.0)
        return torch.stack([person, head, thing], 1), torch.tensor([0.9, 0.5, 0.95]).expand(len(points), 3)


def test_over_batches_and_tiles_every_head_gets_its_own_answer_and_its_own_bound():
    size = (1200, 1500)  # four tiles
    grid = np.stack(np.meshgrid(np.arange(30, 1500, 60), np.arange(30, 1200, 60)), -1).reshape(-1, 2) + 0.5
    close = grid[::7] + np.array([5, 0])  # a neighbour 5 pixels away bounds both at 3.75
    points = np.random.default_rng(0).permutation(np.concatenate([grid, close])).astype(np.float32)
    drawer = Drawer()
    mask = SamMasks(drawer, "hand-made", device=torch.device("cpu"))(
        np.zeros((*size, 3), np.uint8), Sample("a.jpg", size, points)
    )
    assert sum(drawer.calls) == len(points)
    assert max(drawer.calls) == 8
    crowded = (reach(points, size) < 4).nonzero()[0]
    assert len(crowded) == 2 * len(close)
    for number, (x, y) in enumerate(points):
        assert mask[int(y), int(x)]
        window = mask[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16]
        if number in crowded:
            assert window.sum() <= 2 * math.pi * 5**2
        else:
            assert window.sum() == pytest.approx(12**2, rel=0.35)
    assert mask.sum() < (len(points) - len(crowded)) * 12**2 * 1.35 + len(crowded) * math.pi * 5**2


def test_an_image_of_nobody_has_an_empty_mask(whole_sam):
    source = SamMasks(PointPrompter.from_checkpoint(whole_sam), "sam_small", device=torch.device("cpu"))
    nobody = Sample("a.jpg", (50, 60), np.zeros((0, 2), np.float32))
    assert not source(np.zeros((50, 60, 3), np.uint8), nobody).any()


@pytest.mark.slow
def test_the_command_takes_sam_as_a_source(run_cli, whole_sam, crowd_folder, tmp_path):
    done = run_cli(
        *("masks", "--source", "sam", "--base", whole_sam), *("--data", crowd_folder, "--out", tmp_path / "m")
    )
    assert done.code == 0, done.err
    assert "11 masks made" in done.out
    missing = run_cli("masks", "--source", "sam", "--data", crowd_folder, "--out", tmp_path / "n", "--base", "nothing")
    assert missing.code == 2
