import torch

from sam_mprompt.losses import Heads, Targets

POINTS = torch.tensor([[0.0, 0.0], [7.9, 3.9], [4.0, 4.0], [15.9, 7.9], [1.0, 2.0]])
HEADS = Heads(POINTS, (4, 0, 1))


def test_a_head_belongs_to_the_one_cell_of_its_own_crop_that_it_lies_in():
    cells = HEADS.per_cell((2, 4), 4)
    assert cells[:, 0].tolist() == [[[1, 1, 0, 0], [0, 1, 0, 1]], [[0] * 4] * 2, [[1, 0, 0, 0], [0] * 4]]


def test_a_head_beyond_the_border_is_in_the_cell_next_to_it_of_its_own_crop():
    beyond = Heads(torch.tensor([[-9.0, 5.0], [99.0, 5.0], [5.0, -9.0], [5.0, 99.0]]), (1, 3))
    assert beyond.per_cell((2, 3), 4)[:, 0].tolist() == [[[0, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 1, 1]]]


def test_heads_in_one_cell_add_up():
    assert Heads(torch.full((5, 2), 3.0), (5,)).per_cell((1, 2), 8).tolist() == [[[[5, 0]]]]


def test_a_batch_without_any_head_has_empty_cells():
    assert Heads(torch.zeros(0, 2), (0, 0)).per_cell((2, 2), 4).tolist() == [[[[0, 0], [0, 0]]]] * 2


def test_heads_are_counted_where_their_points_are():
    there = Heads(POINTS.to("meta"), HEADS.per_crop).per_cell((2, 4), 4)
    assert (there.device.type, there.shape) == ("meta", (3, 1, 2, 4))


def test_each_crop_gets_its_own_heads_back():
    assert [points.tolist() for points in HEADS.each()] == [POINTS[:4].tolist(), [], POINTS[4:].tolist()]


def one(value, points=None):
    mask = torch.zeros(1, 2, 2, dtype=torch.bool)
    heads = None if points is None else Heads(torch.tensor(points).view(-1, 2), (len(points),))
    return Targets(torch.full((1, 2, 2), value), mask, ~mask, heads)


def test_crops_are_stacked_with_their_heads_in_order():
    made = Targets.stacked([one(1.0, [[1.0, 2.0]]), one(2.0, []), one(3.0, [[3.0, 4.0], [5.0, 6.0]])])
    assert made.density[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert made.heads is not None
    assert made.heads.per_crop == (1, 0, 2)
    assert made.heads.points.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert made.context_mask.all()
    assert not made.pseudo_mask.any()


def test_crops_without_points_are_stacked_without():
    assert Targets.stacked([one(1.0), one(2.0)]).heads is None


def test_heads_go_where_their_targets_go(monkeypatch):
    made = Targets.stacked([one(1.0, [[1.0, 2.0]])])
    there = made.to(torch.device("meta")).heads
    assert there is not None
    assert there.points.device.type == "meta"
    assert there.per_crop == (1,)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    pinned = made.pin_memory().heads
    assert pinned is not None
    assert made.heads is not None
    assert pinned.points is not made.heads.points
    assert torch.equal(pinned.points, made.heads.points)
