import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.modeling.image_encoder import Attention as OfficialAttention
from segment_anything.modeling.image_encoder import get_rel_pos
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sam_mprompt.models import sam_attention
from sam_mprompt.models.sam_attention import (
    Attention,
    biased_attention,
    prefers_widened,
    relative_positions,
    widened_attention,
)


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def largest_difference(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape
    return (first - second).abs().max().item()


def both(size: tuple[int, int]) -> tuple[Attention, OfficialAttention]:
    """Our attention and SAM's own, of the same random weights, positions far from zero."""
    torch.manual_seed(0)
    official = OfficialAttention(12, 3, use_rel_pos=True, input_size=size)
    for table in (official.rel_pos_h, official.rel_pos_w):
        nn.init.normal_(table, std=0.5)
    attention = Attention(12, 3, input_size=size)
    attention.load_state_dict(official.state_dict())
    return attention, official


@pytest.mark.parametrize("size", [(5, 3), (3, 5), (1, 4), (7, 7)])
def test_attention_and_its_gradients_are_sams_on_a_grid_of_any_shape(size: tuple[int, int]) -> None:
    results = []
    for module in both((4, 6)):
        x = images(2, *size, 12).requires_grad_()
        out = module(x)
        (out * images(2, *size, 12, seed=2)).sum().backward()
        gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
        results.append((out, {"tokens": x.grad} | gradients))
    (ours, our_gradients), (theirs, their_gradients) = results
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(our_gradients, their_gradients)


def attention_inputs(h: int, w: int) -> list[Tensor]:
    """Queries, keys, values and both biases of two heads on a grid, with gradients."""
    shapes = [(2, h * w, 64)] * 3 + [(2, h, w, h), (2, h, w, w)]
    return [images(*shape, seed=seed).double().requires_grad_() for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("size", [(4, 4), (3, 7)])
def test_a_bias_in_further_columns_gives_the_same_attention_and_gradients(size: tuple[int, int]) -> None:
    results = []
    for attend in (biased_attention, widened_attention):
        given = attention_inputs(*size)
        out = attend(*given)
        results.append((out, torch.autograd.grad(out.square().sum(), given)))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(("width", "size", "columns"), [(6, (3, 4), 16), (5, (2, 3), 16), (4, (4, 8), 16)])
def test_further_columns_fill_whole_groups_of_eight_and_no_more(
    width: int, size: tuple[int, int], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    h, w = size
    shapes = [(2, h * w, width)] * 3 + [(2, h, w, h), (2, h, w, w)]
    seen, plain = [], F.scaled_dot_product_attention

    def noted(queries: Tensor, keys: Tensor, values: Tensor, **how: float) -> Tensor:
        seen.extend([queries.shape[-1], keys.shape[-1]])
        return plain(queries, keys, values, **how)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    out = widened_attention(*(images(*shape, seed=seed) for seed, shape in enumerate(shapes)))
    assert seen == [columns, columns]
    assert out.shape == (2, h * w, width)


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.bfloat16), ("meta", torch.float32)])
def test_further_columns_are_of_the_type_and_on_the_device_of_the_others(device: str, dtype: torch.dtype) -> None:
    given = [tensor.detach().to(device, dtype) for tensor in attention_inputs(3, 7)]
    out = widened_attention(*given)
    assert (out.device.type, out.dtype, out.shape) == (device, dtype, given[0].shape)
    if device == "cpu":
        exact = widened_attention(*(tensor.float() for tensor in given))
        torch.testing.assert_close(out.float(), exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("device", "dtype", "tokens", "gradient", "widened"),
    [
        ("cuda", torch.bfloat16, 14 * 14, True, True),
        ("cuda", torch.float16, 14 * 14 + 1, False, True),
        ("cuda", torch.bfloat16, 14 * 14, False, False),
        ("cuda", torch.float32, 64 * 64, True, False),
        ("cpu", torch.bfloat16, 64 * 64, True, False),
        ("mps", torch.float16, 64 * 64, True, False),
    ],
)
def test_the_bias_goes_into_further_columns_where_that_was_measured_to_be_faster(
    device: str, dtype: torch.dtype, tokens: int, gradient: bool, widened: bool
) -> None:
    assert prefers_widened(device, dtype, tokens=tokens, gradient=gradient) == widened


@pytest.mark.parametrize("wanted", [True, False])
def test_attention_asks_with_its_tokens_and_whether_gradients_are_wanted(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prefers(*what: object, **how: object) -> bool:
        asked.append((what, how))
        return True

    given = attention_inputs(3, 7)
    with torch.set_grad_enabled(wanted):
        expected = biased_attention(*given)
        monkeypatch.setattr(sam_attention, "prefers_widened", prefers)
        monkeypatch.setattr(sam_attention._PiecewiseAttention, "apply", lambda *_: pytest.fail("it went in pieces"))
        torch.testing.assert_close(biased_attention(*given), expected)
    assert asked == [(("cpu", torch.float64), {"tokens": 21, "gradient": wanted})]


def test_a_graph_that_is_traced_holds_the_attention_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [(4, 15, 6)] * 3 + [(4, 5, 3, 5), (4, 5, 3, 3)]
    inputs = [images(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    expected = biased_attention(*inputs)
    monkeypatch.setattr(sam_attention._PiecewiseAttention, "apply", lambda *_: pytest.fail("it went in pieces"))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(biased_attention(*inputs), expected)


@pytest.mark.parametrize(("device", "budget"), [("cpu", 100), ("meta", 200)])
def test_pieces_are_as_large_as_the_device_is_given_room_for(
    device: str, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_attention, "PIECE_CPU", 100)
    monkeypatch.setattr(sam_attention, "PIECE_ELSEWHERE", 200)
    several = list(sam_attention.pieces(torch.empty(7, 2, 3, 2, device=device)))  # 36 elements a head
    assert [head.start for head, _, _ in several] == list(range(0, 7, budget // 36))
    one = list(sam_attention.pieces(torch.empty(1, 4, 4, 4, device=device)))  # 64 a row
    assert [(rows.start, rows.stop, tokens.start, tokens.stop) for _, rows, tokens in one] == [
        (row, row + step, 4 * row, 4 * (row + step)) for step in (budget // 64,) for row in range(0, 4, step)
    ]


@pytest.mark.parametrize("span", [2, 5, 9])
def test_a_table_of_another_span_is_resampled_in_its_own_dtype(span: int) -> None:
    table = images(2 * span - 1, 3).bfloat16()
    found = relative_positions(table, 5)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), get_rel_pos(5, 5, table.float()), rtol=2e-2, atol=2e-2)


def test_centred_relative_positions_are_those_of_the_same_distances_in_the_whole_table() -> None:
    table = images(13, 6)  # made for 7 tokens
    centred, whole = relative_positions(table, 4, centred=True), relative_positions(table, 7)
    assert torch.equal(centred, whole[:4, :4])
    assert torch.equal(relative_positions(table, 9, centred=True), relative_positions(table, 9))


@pytest.mark.parametrize("size", [(6, 4), (4, 6)])
def test_centred_attention_takes_the_middle_of_the_tables_of_both_sides(size: tuple[int, int]) -> None:
    wide, _ = both((7, 7))
    small = Attention(12, 3, input_size=size)
    middle = {
        name: table[7 - side : 6 + side]
        for name, table, side in (("rel_pos_h", wide.rel_pos_h, size[0]), ("rel_pos_w", wide.rel_pos_w, size[1]))
    }
    small.load_state_dict(wide.state_dict() | middle)
    wide.centred = True
    tokens = images(2, *size, 12)
    torch.testing.assert_close(wide(tokens), small(tokens))


@pytest.mark.parametrize("budget", [1, 40, 200, 10**9])
def test_attention_in_pieces_of_any_size_is_exact_with_its_gradients(
    budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_attention, "PIECE_CPU", budget)
    shapes = [(3, 12, 4)] * 3 + [(3, 4, 3, 4), (3, 4, 3, 3)]  # 3 heads on a grid of 4 x 3
    inputs = [images(*shape, seed=seed).double().requires_grad_() for seed, shape in enumerate(shapes)]
    q, k, v, bias_h, bias_w = inputs
    scores = (q @ k.mT / 2).view(3, 4, 3, 4, 3) + bias_h[..., :, None] + bias_w[..., None, :]
    expected, got = scores.view(3, 12, 12).softmax(-1) @ v, biased_attention(*inputs)
    torch.testing.assert_close(got, expected)
    weights = images(3, 12, 4, seed=9).double()
    torch.testing.assert_close(
        torch.autograd.grad((got * weights).sum(), inputs), torch.autograd.grad((expected * weights).sum(), inputs)
    )


@given(heads=st.integers(1, 9), h=st.integers(1, 9), w=st.integers(1, 9), budget=st.integers(1, 20_000))
def test_pieces_cover_every_row_of_every_head_once_within_the_budget(heads: int, h: int, w: int, budget: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sam_attention, "PIECE_CPU", budget)
        pieces = list(sam_attention.pieces(torch.empty(heads, h, w, h)))
    covered = torch.zeros(heads, h * w)
    for head, row, token in pieces:
        covered[head, token] += 1
        assert covered[head].view(-1, h, w)[:, row].shape[1] * w == covered[head, token].shape[1]
        assert covered[head, token].numel() * h * w <= max(budget, w * h * w)
    assert (covered == 1).all()


@given(size=st.integers(1, 80), span=st.integers(1, 70))
def test_relative_positions_follow_the_official_rule(size: int, span: int) -> None:
    table = images(2 * span - 1, 3)
    torch.testing.assert_close(relative_positions(table, size), get_rel_pos(size, size, table))


def test_attention_computes_in_the_dtype_of_its_weights() -> None:
    attention = Attention(32, 2, input_size=(6, 6)).to(torch.bfloat16)
    official = OfficialAttention(32, 2, use_rel_pos=True, input_size=(6, 6))
    official.load_state_dict(attention.state_dict())
    x = images(1, 9, 9, 32).requires_grad_()
    out = attention(x.bfloat16())
    assert out.dtype == torch.bfloat16
    assert largest_difference(out.float(), official(x)) < 0.02
    out.sum().backward()
    assert torch.isfinite(x.grad).all()


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that the result of any operation had."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.elements = max(self.elements, leaf.numel())
        return result


def test_training_never_holds_a_whole_attention_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam_attention, "PIECE_CPU", 2**16)
    attention = Attention(8, 2, input_size=(32, 32))
    tokens = images(1, 32, 32, 8).requires_grad_()
    with LargestTensor() as largest:
        attention(tokens).sum().backward()
    assert tokens.grad is not None
    assert largest.elements <= 2**16  # one head's matrix has 2^20


@pytest.mark.parametrize("budget", [1, 10**9])
def test_gradients_of_half_precision_attention_come_of_a_softmax_in_float32(
    budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_attention, "PIECE_CPU", budget)
    shapes = [(1, 64, 4)] * 3 + [(1, 8, 8, 8)] * 2
    inputs = [(3 * images(*shape, seed=seed)).bfloat16().requires_grad_() for seed, shape in enumerate(shapes)]
    seen = []
    softmax = Tensor.softmax

    def watched(scores: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
        result = softmax(scores, dim, dtype=dtype)
        seen.append(result.dtype)
        return result

    monkeypatch.setattr(Tensor, "softmax", watched)
    out = biased_attention(*inputs)
    gradients = torch.autograd.grad(out.sum(), inputs)
    assert set(seen) == {torch.float32}
    assert {gradient.dtype for gradient in gradients} == {torch.bfloat16}


def test_a_second_derivative_is_refused_and_not_given_wrong() -> None:
    shapes = [(2, 6, 4)] * 3 + [(2, 2, 3, 2), (2, 2, 3, 3)]
    inputs = [images(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    [first] = torch.autograd.grad(biased_attention(*inputs).square().sum(), inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
