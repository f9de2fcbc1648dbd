import pytest
import torch

from sam_mprompt.errors import UsageError
from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.pretraining.initialisation import normalised
from sam_mprompt.pretraining.recipe import TeacherRecipe
from sam_mprompt.pretraining.teacher import Imitator, Lesson, Teacher

CONFIG = SamConfig(
    embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=8, window_size=2, grid=4, span=4
)
RECIPE = TeacherRecipe(base="test_efficientnet", pretrained=False)


def images(batch=4, side=64, seed=0):
    """Blotches of colour, so that neighbouring cells see alike things."""
    coarse = torch.randint(0, 256, (batch, 3, 4, 4), generator=torch.Generator().manual_seed(seed)).float()
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear").byte()


def teacher(**changes):
    return Teacher.of(RECIPE.model_copy(update=changes), sides=[64])


def lesson(**changes):
    return Lesson.of(teacher(**changes), SamEncoder.random(CONFIG))


def test_a_teacher_answers_with_a_map_a_level_and_no_gradient():
    maps = teacher()(images())
    assert [tuple(level.shape) for level in maps] == [(4, 32, 8, 8), (4, 48, 4, 4)]
    assert not any(level.requires_grad for level in maps)
    assert all(level.std() > 0 for level in maps)


def test_learning_never_changes_the_teacher():
    learned = lesson()
    before = {name: tensor.clone() for name, tensor in learned.teacher.network.state_dict().items()}
    learned.encoder.train()
    learned.error(images()).backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in learned.teacher.network.state_dict().items())
    assert all(parameter.grad is None for parameter in learned.teacher.network.parameters())
    assert all(parameter.grad is not None for parameter in learned.imitator.parameters())
    assert learned.encoder.patch_embed.proj.weight.grad is not None


def test_an_encoder_learns_to_tell_the_teachers_features():
    learned, seen = lesson(), images()
    trained = [*learned.encoder.parameters(), *learned.imitator.parameters()]
    optimizer = torch.optim.Adam(trained, lr=1e-2)
    before = learned.score([seen])
    for _ in range(60):
        optimizer.zero_grad()
        learned.error(seen).backward()
        optimizer.step()
    assert before > 0.9
    assert learned.score([seen]) < 0.6 * before


@pytest.mark.parametrize("levels", [(4,), (8,), (16,), (4, 8, 16)])
def test_what_is_told_has_the_shapes_of_the_teachers_maps(levels):
    learned = lesson(levels=levels)
    told = learned.imitator(torch.zeros(2, 8, 4, 4))
    assert [level.shape for level in told] == [level.shape for level in learned.teacher(images(2))]
    assert len(told) == len(levels)


def test_a_finer_map_is_told_cell_by_cell_within_its_token():
    imitator = Imitator(1, 16, teacher(levels=(8,)))
    torch.nn.init.normal_(imitator.levels[0][0].weight)
    features = torch.zeros(1, 1, 2, 2)
    plain = imitator(features)[0]
    features[0, 0, 0, 1] = 1
    changed = (imitator(features)[0] != plain).any(1)[0]
    strides = teacher(levels=(8,)).strides
    side = 16 // strides[0]
    assert changed[:side, side:].all()
    assert int(changed.sum()) == side**2


def test_channels_are_standardised_by_all_that_was_seen_in_training_and_by_nothing_else():
    learned = lesson()
    for seed in range(10):
        learned.imitator.standardised(learned.teacher(images(seed=seed)))
    learned.imitator.eval()
    statistics = [buffer.clone() for buffer in learned.imitator.buffers()]
    maps = learned.teacher(torch.cat([images(seed=seed) for seed in range(10)]))
    for level in learned.imitator.standardised(maps):
        varied = level.var((0, 2, 3)) > 1e-3
        assert level.mean((0, 2, 3)).abs().max() < 1e-3
        assert level.var((0, 2, 3))[varied].mean() == pytest.approx(1, abs=0.2)
    assert all(torch.equal(*pair) for pair in zip(statistics, learned.imitator.buffers(), strict=True))


def test_the_score_of_telling_each_channels_mean_is_one_and_scoring_changes_no_statistics():
    learned, seen = lesson(levels=(16,)), [images(seed=1), images(seed=2)]
    learned.error(images())
    statistics = [buffer.clone() for buffer in learned.imitator.buffers()]
    head = learned.imitator.levels[0][0]
    learned.imitator.eval()
    right = learned.imitator.standardised(learned.teacher(torch.cat(seen)))[0]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(right.mean((0, 2, 3)))
    assert learned.score(seen) == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        head.bias += 1
    assert learned.score(seen) > 1.1
    assert learned.imitator.training
    assert learned.encoder.training
    assert all(torch.equal(*pair) for pair in zip(statistics, learned.imitator.buffers(), strict=True))


def test_features_that_are_known_take_the_place_of_those_of_the_images():
    learned, seen = lesson(), images()
    learned.error(seen)
    learned.imitator.eval()
    for parameter in learned.imitator.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    features = learned.encoder(normalised(learned.encoder, seen))[0]
    found, known, others = (learned.error(seen, given).item() for given in (None, features, features + 1))
    assert known == pytest.approx(found)
    assert others != pytest.approx(found)


def test_neither_teacher_nor_imitator_moves_torchs_random_state():
    before = torch.get_rng_state()
    lesson()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_imitator_starts_by_telling_each_channels_mean():
    assert all((told == 0).all() for told in lesson().imitator(torch.randn(1, 8, 2, 2)))


def test_images_that_the_teacher_cannot_see_are_refused_before_the_training():
    with pytest.raises(UsageError, match=r"expected images whose sides are multiples of \d+, got 40"):
        Teacher.of(RECIPE, sides=[64, 40])


def test_an_unknown_teacher_names_its_neighbour():
    with pytest.raises(UsageError, match=r"timm has no model 'test_efficientnt'. Did you mean"):
        Teacher.of(RECIPE.model_copy(update={"base": "test_efficientnt"}), sides=[])
