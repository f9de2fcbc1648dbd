import copy
import pickle
from functools import partial
from pathlib import Path

import peft
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.build_sam import build_sam_vit_b
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from small_encoders import features_of, fill_adapter
from timm.layers import resample_abs_pos_embed_nhwc
from torch import Tensor, nn

from sam_mprompt.errors import UsageError
from sam_mprompt.models import sam_attention
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.models.sam_positions import CACHED_SIZES
from sam_mprompt.tuning.attach import attach

SMALL = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
SMALLER = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16, grid=20)


def official_encoder(config: SamConfig, seed: int = 0) -> ImageEncoderViT:
    """SAM's own encoder as `segment_anything` builds it, every parameter random and positions far from zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = ImageEncoderViT(
            img_size=config.grid * config.patch,
            embed_dim=config.embed_dim,
            depth=config.depth,
            num_heads=config.num_heads,
            out_chans=config.out_channels,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=config.window_size,
            global_attn_indexes=config.global_attn_indexes,
        )
        for name, parameter in encoder.named_parameters():
            if "pos" in name:
                nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def official_sam(config: SamConfig) -> Sam:
    """A whole SAM with a small encoder and the parts that its decoder has."""
    return Sam(
        image_encoder=official_encoder(config),
        prompt_encoder=PromptEncoder(
            embed_dim=config.out_channels, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=config.out_channels,
            transformer=TwoWayTransformer(depth=1, embedding_dim=config.out_channels, num_heads=2, mlp_dim=8),
        ),
    )


def ours(official: ImageEncoderViT, **options: str) -> SamEncoder:
    encoder = SamEncoder(SamConfig.from_tensors(official.state_dict()), **options)
    encoder.load_state_dict(official.state_dict())
    return encoder.eval()


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def largest_difference(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape
    return (first - second).abs().max().item()


@pytest.mark.slow
def test_features_equal_the_official_encoders_at_1024() -> None:
    official = official_encoder(SMALL)
    x = images(1, 3, 1024, 1024)
    with torch.inference_mode():
        assert largest_difference(features_of(ours(official), x), official(x)) <= 1e-4


@pytest.mark.slow
def test_features_of_vit_b_equal_the_official_ones_at_1024() -> None:
    official = official_encoder(SamConfig())
    x = images(1, 3, 1024, 1024)
    with torch.inference_mode():
        assert largest_difference(features_of(ours(official), x), official(x)) <= 1e-4


@pytest.mark.parametrize("size", [(16, 16), (224, 224), (400, 400), (448, 672), (1104, 272)])
@pytest.mark.parametrize("positions", ["resample", "slice", "center"])
def test_features_at_other_sizes_follow_the_official_rules(positions: str, size: tuple[int, int]) -> None:
    official = official_encoder(SMALL)
    encoder = ours(official, positions=positions)
    tokens = [side // 16 for side in size]
    x = images(1, 3, *size)
    with torch.inference_mode():
        features = features_of(encoder, x)
        table = official.pos_embed.data
        if positions == "slice" and max(tokens) <= 64:
            official.pos_embed.data = table[:, : tokens[0], : tokens[1]]
        elif positions == "center" and max(tokens) <= 64:
            top, left = ((64 - side) // 2 for side in tokens)
            official.pos_embed.data = table[:, top : top + tokens[0], left : left + tokens[1]]
        else:
            official.pos_embed.data = resample_abs_pos_embed_nhwc(table, tokens)
        if positions == "center":
            for attention in (block.attn for block in official.blocks if block.window_size == 0):
                for relative, side in ((attention.rel_pos_h, tokens[0]), (attention.rel_pos_w, tokens[1])):
                    relative.data = relative.data[64 - side : 63 + side] if side <= 64 else relative.data
        assert largest_difference(features, official(x)) <= 1e-4


def test_images_of_a_batch_do_not_see_each_other() -> None:
    encoder = ours(official_encoder(SMALLER))
    x = images(3, 3, 400, 240)
    with torch.inference_mode():
        together = features_of(encoder, x)
        assert together.shape == (3, 16, 25, 15)
        for index in range(3):
            assert largest_difference(together[index], features_of(encoder, x[index : index + 1])[0]) < 1e-5


def test_gradients_equal_the_official_encoders() -> None:
    official = official_encoder(SMALLER)
    encoder = ours(official)
    gradients = []
    for model in (official, encoder):
        x = images(2, 3, 320, 320).requires_grad_()
        (features_of(model, x) * images(2, 16, 20, 20)).sum().backward()
        gradients.append({"images": x.grad} | {name: p.grad for name, p in model.named_parameters()})
    expected, got = gradients
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0, name
        assert largest_difference(got[name], gradient) <= 1e-3 * gradient.abs().max().item(), name


def test_every_key_of_an_official_file_is_loaded_and_the_decoder_ignored(tmp_path: Path) -> None:
    sam = official_sam(SMALLER)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    encoder = SamEncoder.from_checkpoint(tmp_path / "sam.pth")
    assert encoder.config == SMALLER
    expected = sam.image_encoder.state_dict()
    assert list(encoder.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.state_dict().items())
    assert {type(parameter) for parameter in encoder.parameters()} == {nn.Parameter}


@pytest.mark.slow
def test_the_official_builders_vit_b_loads_strictly(tmp_path: Path) -> None:
    sam = build_sam_vit_b()
    torch.save(sam.state_dict(), tmp_path / "sam_vit_b_01ec64.pth")
    encoder = SamEncoder.from_checkpoint(tmp_path / "sam_vit_b_01ec64.pth")
    assert encoder.config == CONFIGS["vit_b"]
    expected = sam.image_encoder.state_dict()
    assert encoder.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("name", "depth", "heads", "global_attn_indexes", "parameters"),
    [
        ("vit_b", 12, 12, (2, 5, 8, 11), 89_670_912),
        ("vit_l", 24, 16, (5, 11, 17, 23), 308_278_272),
        ("vit_h", 32, 16, (7, 15, 23, 31), 637_026_048),
    ],
)
def test_every_published_size_is_read_from_shapes(
    name: str, depth: int, heads: int, global_attn_indexes: tuple[int, ...], parameters: int
) -> None:
    config = CONFIGS[name]
    with torch.device("meta"):
        official = official_encoder(config)
    assert sum(p.numel() for p in official.parameters()) == parameters
    assert SamConfig.from_tensors(official.state_dict()) == config
    assert (config.depth, config.num_heads, config.global_attn_indexes) == (depth, heads, global_attn_indexes)


@given(
    heads=st.integers(1, 4),
    head_dim=st.integers(1, 8),
    depth=st.integers(2, 5),
    window=st.integers(1, 9),
    grid=st.integers(10, 20),
    span=st.integers(10, 20),
    data=st.data(),
)
def test_a_configuration_is_read_back_from_its_own_shapes(
    heads: int, head_dim: int, depth: int, window: int, grid: int, span: int, data: st.DataObject
) -> None:
    global_attn_indexes = data.draw(st.sets(st.integers(0, depth - 1), min_size=1, max_size=depth - 1))
    config = SamConfig(
        embed_dim=heads * head_dim,
        depth=depth,
        num_heads=heads,
        global_attn_indexes=tuple(sorted(global_attn_indexes)),
        mlp_dim=7,
        out_channels=5,
        window_size=window,
        grid=grid,
        span=span,
        patch=8,
    )
    with torch.device("meta"):
        assert SamConfig.from_tensors(SamEncoder(config).state_dict()) == config


def test_blocks_whose_window_spans_the_whole_grid_count_as_global() -> None:
    official = official_encoder(SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), grid=14))
    encoder = ours(official)
    assert encoder.config.global_attn_indexes == (0, 1)
    x = images(1, 3, 224, 224)
    with torch.inference_mode():
        assert largest_difference(features_of(encoder, x), official(x)) <= 1e-4


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda t: t.pop("blocks.1.attn.rel_pos_w"), "blocks.1.attn.rel_pos_w"),
        (lambda t: t.pop("neck.3.bias"), "neck.3.bias"),
        (lambda t: t.pop("pos_embed"), "pos_embed"),
        (lambda t: t.update({"blocks.0.attn.q_norm.weight": torch.ones(3)}), "q_norm"),
        (lambda t: t.update({"blocks.1.mlp.lin2.weight": torch.ones(3, 4)}), "blocks.1.mlp.lin2.weight"),
        (lambda t: t.update({"pos_embed": torch.ones(1, 401, 32)}), "other shapes"),
        (lambda t: t.update({"blocks.0.attn.qkv.bias": torch.ones(96, dtype=torch.int8)}), "blocks.0.attn.qkv.bias"),
    ],
)
def test_missing_unexpected_and_reshaped_tensors_are_refused_by_name(damage, named: str, tmp_path: Path) -> None:
    tensors = dict(official_encoder(SMALLER).state_dict())
    damage(tensors)
    torch.save(tensors, tmp_path / "base.pth")
    with pytest.raises(UsageError, match=named) as refused:
        SamEncoder.from_checkpoint(tmp_path / "base.pth")
    assert "\n" not in str(refused.value)


def test_a_half_precision_file_is_loaded_in_float32(tmp_path: Path) -> None:
    tensors = official_encoder(SMALLER).half().state_dict()
    torch.save(tensors, tmp_path / "half.pth")
    encoder = SamEncoder.from_checkpoint(tmp_path / "half.pth")
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert torch.equal(encoder.pos_embed, tensors["pos_embed"].float())


@pytest.mark.parametrize("shape", [(1, 3, 100, 96), (1, 3, 96, 8), (1, 1, 32, 32), (3, 32, 32), (0, 3, 32, 32)])
def test_images_of_other_shapes_are_refused_with_the_multiple(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"multiples of 16, got \("):
        SamEncoder(SMALLER)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"embed_dim": 65}, "a multiple of num_heads"),
        ({"depth": 0}, "depth = 0"),
        ({"global_attn_indexes": (3, 1)}, "ascending"),
    ],
)
def test_impossible_configurations_are_refused(values: dict[str, int], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        SamConfig(**{"embed_dim": 64, "depth": 4, "num_heads": 2, "global_attn_indexes": (1, 3), **values})


def test_a_misspelt_positions_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'resample'"):
        SamEncoder(SMALLER, positions="resampled")


def test_levels_are_the_global_blocks_outputs_and_then_the_features() -> None:
    config = SamConfig(embed_dim=32, depth=3, num_heads=2, global_attn_indexes=(0, 2), out_channels=16, grid=20)
    encoder = SamEncoder.random(config).eval()
    seen = {}
    for index, block in enumerate(encoder.blocks):
        block.register_forward_hook(lambda _module, _inputs, output, index=index: seen.update({index: output}))
    x = images(1, 3, 96, 64)
    with torch.inference_mode():
        levels = encoder(x, levels=True)
        assert torch.equal(levels[-1], features_of(encoder, x))
    assert tuple(level.shape[1] for level in levels) == encoder.level_channels == (32, 32, 16)
    for level, index in zip(levels, (0, 2), strict=False):
        assert level.shape == (1, 32, 6, 4)
        assert torch.equal(level, seen[index].permute(0, 3, 1, 2))


def with_prompts(encoder: SamEncoder) -> nn.Module:
    tuned = attach(encoder, "prompt", bottleneck=4, blocks=[2, 3])
    fill_adapter(tuned, "default")
    return tuned


@pytest.mark.parametrize("levels", [False, True])
@pytest.mark.parametrize("block", range(5))
@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda encoder: encoder, id="bare"),
        pytest.param(with_prompts, id="adapted"),
        pytest.param(
            lambda encoder: torch.compile(with_prompts(encoder), backend="eager"), id="compiled", marks=pytest.mark.slow
        ),
    ],
)
def test_the_encoder_goes_on_exactly_from_where_it_stopped(wrapped, block: int, levels: bool) -> None:
    config = SamConfig(embed_dim=32, depth=4, num_heads=2, global_attn_indexes=(1, 3), out_channels=16, grid=20)
    encoder = wrapped(SamEncoder.random(config).eval())
    x = images(2, 3, 96, 64)
    with torch.inference_mode():
        state = encoder.forward_until(x, block, levels=levels)
        got = encoder.forward_from(state, block, levels=levels)
        expected = encoder(x, levels=levels)
    assert [tuple(tensor.shape) for tensor in state] == [
        (2, c, 6, 4) for c in encoder.channels_until(block, levels=levels)
    ]
    assert len(got) == len(expected)
    assert all(torch.equal(first, second) for first, second in zip(got, expected, strict=True))


def test_where_the_encoder_stops_no_tensor_is_kept_twice() -> None:
    config = SamConfig(embed_dim=32, depth=4, num_heads=2, global_attn_indexes=(1, 3), out_channels=16, grid=20)
    encoder = SamEncoder.random(config)
    kept = [len(encoder.forward_until(images(1, 3, 32, 32), block, levels=True)) for block in range(5)]
    assert kept == [1, 1, 1, 2, 2]  # block 1's output is what block 2 takes, and joins it as a level before block 3


class Doubled(nn.Module):
    """Wraps a sub-layer as a prompt module does."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.shapes = inner, []

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        return 2 * self.inner(x)


@pytest.mark.parametrize("part", ["attn", "mlp"])
def test_replacing_a_sub_layer_takes_effect_on_nhwc_tokens(part: str) -> None:
    encoder = SamEncoder.random(SMALLER).eval()
    x = images(1, 3, 320, 224)
    with torch.inference_mode():
        before = features_of(encoder, x)
        for block in encoder.blocks:
            setattr(block, part, Doubled(getattr(block, part)))
        assert largest_difference(features_of(encoder, x), before) > 1e-3
    windowed, whole = (getattr(block, part).shapes for block in encoder.blocks)
    assert windowed == ([(2, 14, 14, 32)] if part == "attn" else [(1, 20, 14, 32)])
    assert whole == [(1, 20, 14, 32)]


def test_lora_starts_as_the_base_trains_and_survives_saving(tmp_path: Path) -> None:
    base = SamEncoder.random(SMALLER)
    x = images(1, 3, 224, 240)
    config = peft.LoraConfig(target_modules=r".*blocks\.\d+\.(attn\.(qkv|proj)|mlp\.lin[12])")
    tuned = peft.get_peft_model(copy.deepcopy(base), config)
    assert torch.equal(features_of(tuned, x), features_of(base, x))
    assert tuned.out_channels == base.out_channels
    optimizer = torch.optim.Adam([p for p in tuned.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # the first step moves only what starts at zero
        (features_of(tuned, x) * images(1, 16, 14, 15)).sum().backward()
        optimizer.step()
    assert largest_difference(features_of(tuned, x), features_of(base, x)) > 1e-3
    tuned.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path)
    assert torch.equal(features_of(again, x), features_of(tuned.eval(), x))


def test_gradient_checkpointing_recomputes_every_block_and_changes_no_gradient() -> None:
    encoder = SamEncoder.random(SMALLER)
    x = images(1, 3, 224, 240)
    gradients, runs = [], []
    for block in encoder.blocks:
        block.register_forward_pre_hook(lambda *_: runs.append(None))
    for recompute in (False, True):
        encoder.gradient_checkpointing = recompute
        encoder.zero_grad()
        (features_of(encoder, x) * images(1, 16, 14, 15)).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))
    assert len(runs) == len(encoder.blocks) * (1 + 2)


def test_the_same_image_gives_the_same_bits() -> None:
    encoder = SamEncoder.random(SMALLER).eval().requires_grad_(False)
    x = images(2, 3, 240, 400)
    assert torch.equal(features_of(encoder, x), features_of(encoder, x))


def frozen(seed: int = 0) -> SamEncoder:
    return SamEncoder.random(SMALLER, seed).eval().requires_grad_(False)


def test_resampled_positions_are_computed_once_per_size(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, calls = frozen(), []
    interpolate = torch.nn.functional.interpolate

    def counting(*args, **kwargs):
        calls.append(kwargs.get("mode"))
        return interpolate(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "interpolate", counting)
    for side in (224, 240, 224, 240):
        features_of(encoder, images(1, 3, side, side))
    assert calls.count("bicubic") == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda encoder, other: encoder.load_state_dict(other.state_dict()),
        lambda encoder, other: encoder.load_state_dict(other.state_dict(), assign=True),
        lambda encoder, other: setattr(encoder, "pos_embed", other.pos_embed),
        lambda encoder, other: encoder.pos_embed.copy_(other.pos_embed),
        lambda encoder, other: encoder.half().float(),
    ],
    ids=["loaded", "assigned", "replaced", "in place", "rounded"],
)
def test_resampled_positions_are_never_stale(change) -> None:
    encoder, x = frozen(), images(1, 3, 224, 240)
    features_of(encoder, x)
    change(encoder, frozen(seed=1))
    fresh = SamEncoder(SMALLER).requires_grad_(False)
    fresh.load_state_dict(encoder.state_dict())
    assert torch.equal(features_of(encoder, x), features_of(fresh, x))


def test_resampled_positions_follow_the_dtype() -> None:
    encoder = frozen()
    features_of(encoder, images(1, 3, 224, 240))
    assert features_of(encoder.to(torch.bfloat16), images(1, 3, 224, 240).bfloat16()).dtype == torch.bfloat16


def test_resampled_positions_are_no_part_of_state_copies_or_pickles() -> None:
    encoder = frozen()
    keys, size = list(encoder.state_dict()), len(pickle.dumps(encoder))
    for side in range(16, 16 * 13, 16):
        features_of(encoder, images(1, 3, side, 32))
    assert list(encoder.state_dict()) == keys
    assert len(pickle.dumps(encoder)) == size
    assert len(encoder.resampled) == CACHED_SIZES


def test_positions_that_inference_mode_resampled_serve_training() -> None:
    encoder, x = frozen(), images(1, 3, 224, 240)
    with torch.inference_mode():
        features_of(encoder, x)
    x.requires_grad_()
    (features_of(encoder, x) * images(1, 16, 14, 15)).sum().backward()
    assert x.grad.abs().max() > 1e-3


def test_an_encoder_made_in_inference_mode_works() -> None:
    x = images(1, 3, 224, 240)
    with torch.inference_mode():
        assert torch.equal(features_of(frozen(), x), features_of(SamEncoder.random(SMALLER), x))


def test_a_trained_position_table_gets_its_gradient_at_other_sizes() -> None:
    encoder, x = SamEncoder.random(SMALLER), images(1, 3, 224, 240)
    before = features_of(encoder, x)
    (before * images(1, 16, 14, 15)).sum().backward()
    assert (encoder.pos_embed.grad.abs().sum(-1) > 0).all()
    encoder.pos_embed.data += 1.0
    assert largest_difference(features_of(encoder, x), before) > 1e-3


def test_random_weights_depend_on_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (SamEncoder.random(SMALLER, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.pos_embed, other.pos_embed)
    for block in first.blocks:
        assert block.attn.rel_pos_h.abs().max() > 0
        assert block.attn.rel_pos_w.abs().max() > 0


def test_a_random_base_is_found_by_name() -> None:
    encoder = SamEncoder.from_checkpoint("random:tiny@7", positions="slice")
    assert (encoder.config, encoder.positions) == (CONFIGS["tiny"], "slice")
    assert torch.equal(encoder.pos_embed, SamEncoder.random(CONFIGS["tiny"], 7).pos_embed)
    assert 5e6 < sum(parameter.numel() for parameter in encoder.parameters()) < 6e6
    with pytest.raises(UsageError, match="Did you mean 'tiny'"):
        SamEncoder.from_checkpoint("random:tny")


def test_pixel_statistics_are_sams() -> None:
    sam = official_sam(SMALLER)
    assert [255 * value for value in SamEncoder.mean] == pytest.approx(sam.pixel_mean.flatten().tolist())
    assert [255 * value for value in SamEncoder.std] == pytest.approx(sam.pixel_std.flatten().tolist())


def test_an_exported_graph_computes_the_same_with_one_attention_node_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam_attention, "PIECE_CPU", 2**12)
    encoder, x = frozen(), images(1, 3, 224, 400)
    exported = torch.export.export(encoder, (x,))
    assert largest_difference(features_of(exported.module(), x), features_of(encoder, x)) < 1e-5
    nodes = [node for node in exported.graph.nodes if "scaled_dot_product_attention" in str(node.target)]
    assert len(nodes) == len(encoder.blocks)


def test_mixed_precision_trains() -> None:
    encoder, x = SamEncoder.random(SMALLER), images(1, 3, 224, 240)
    with torch.autocast("cpu", torch.bfloat16):
        features = features_of(encoder, x)
    (features.float() * images(1, 16, 14, 15)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in encoder.parameters())


def test_every_normalisation_divides_by_the_same_as_the_official_one() -> None:
    def epsilons(model: nn.Module) -> dict[str, float]:
        return {name: module.eps for name, module in model.named_modules() if hasattr(module, "eps")}

    official = official_encoder(SMALLER)
    assert len(epsilons(official)) == 6
    assert epsilons(ours(official)) == epsilons(official)


@pytest.mark.parametrize("name", ["blocks.99999999.attn.rel_pos_h", f"blocks.{'9' * 5000}.attn.rel_pos_h"])
def test_a_name_that_claims_blocks_which_are_not_there_is_refused_before_they_are_built(name):
    tensors = SamEncoder.random(SMALLER, seed=0).state_dict()
    tensors[name] = tensors["blocks.0.attn.rel_pos_h"]
    with pytest.raises(UsageError, match="is not SAM's image encoder: its tensors have other shapes"):
        SamConfig.from_tensors(tensors)


def test_a_table_without_dimensions_is_refused():
    tensors = SamEncoder.random(SMALLER, seed=0).state_dict()
    tensors["blocks.1.attn.rel_pos_h"] = torch.zeros(())
    with pytest.raises(UsageError, match="its tensors have other shapes"):
        SamConfig.from_tensors(tensors)
