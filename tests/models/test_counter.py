import pytest
import torch
from torch import nn

from sam_mprompt.errors import UsageError
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.decoders import Stem
from sam_mprompt.recipe.schema import SamModel


class Encoder(nn.Module):
    out_channels, stride, size_divisor = 24, 16, 16
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
    level_channels, level_strides = (8, 24), (16, 16)

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 24, 16, 16)

    def forward(self, images, *, levels=False):
        features = self.patch(images)
        return [features[:, :8], features] if levels else [features]


def counter(segmenter=True, **model):
    torch.manual_seed(0)
    return CrowdCounter(Encoder(), SamModel(**model), segmenter=segmenter)


IMAGES = torch.linspace(-2, 2, 2 * 3 * 64 * 96).view(2, 3, 64, 96)


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
@pytest.mark.parametrize(
    "extra",
    [{}, {"fuse_levels": True}, {"stem_channels": 4}, {"stem_channels": 4, "stem_blocks": 3}, {"gate": "segmenter"}],
)
def test_density_and_mask_have_the_density_stride(stride, extra):
    output = counter(density_stride=stride, **extra)(IMAGES)
    assert output.density.shape == output.mask_logits.shape == (2, 1, 64 // stride, 96 // stride)
    assert float(output.density.detach().min()) >= 0


def test_three_residual_blocks_see_seven_cells_more_to_each_side():
    def seen(blocks):
        torch.manual_seed(0)
        stem = Stem(4, stride=4, blocks=blocks).eval()
        images = torch.rand(1, 3, 256, 256, requires_grad=True)
        stem(images)[0, :, 32, 32].sum().backward()
        columns = images.grad.abs().sum(dim=(0, 1, 2)).nonzero()
        return int(columns.max() - columns.min()) + 1

    assert seen(3) == seen(0) + 2 * 7 * 4


def test_dropping_the_segmenter_never_changes_the_density():
    model = counter().eval()
    before = model(IMAGES).density
    model.strip_segmenter()
    output = model(IMAGES)
    assert torch.equal(output.density, before)
    assert output.mask_logits is None
    assert not any("segmenter" in name for name in model.state_dict())


def test_a_gated_counter_keeps_the_trunk_and_drops_the_mask_convolution():
    model = counter(gate="segmenter").eval()
    before = model(IMAGES).density
    model.strip_segmenter()
    assert torch.equal(model(IMAGES).density, before)
    names = [name for name in model.state_dict() if name.startswith("segmenter.")]
    assert names
    assert not any(name.startswith("segmenter.output") for name in names)


def test_the_gate_can_close():
    model = counter(gate="segmenter").eval()
    nn.init.constant_(model.segmenter.last[1].bias, -100.0)
    nn.init.constant_(model.regressor.output.bias, 0.25)
    assert torch.allclose(model(IMAGES).density, torch.tensor(0.25))


def test_the_head_state_holds_all_that_counting_needs_and_no_more():
    for gate in ("none", "segmenter"):
        trained = counter(gate=gate, fuse_levels=True, stem_channels=4)
        fresh = counter(segmenter=False, gate=gate, fuse_levels=True, stem_channels=4)
        state = trained.decoder_state()
        assert set(state) == set(fresh.decoder_state())
        assert not any(name.startswith(("encoder.", "segmenter.output")) for name in state)
        for parameter in fresh.parameters():
            nn.init.zeros_(parameter)
        fresh.load_state_dict({**state, **{f"encoder.{k}": v for k, v in trained.encoder.state_dict().items()}})
        assert torch.equal(fresh.eval()(IMAGES).density, trained.eval()(IMAGES).density)


def test_fusion_starts_as_the_plain_encoder():
    plain, fused = counter(), counter(fuse_levels=True)
    fused.load_state_dict({**fused.state_dict(), **plain.state_dict()})
    assert torch.allclose(plain.eval()(IMAGES).density, fused.eval()(IMAGES).density, atol=1e-6)


def test_both_heads_of_sam_base_are_within_the_papers_budget():
    class Wide(Encoder):
        out_channels = 256

    model = CrowdCounter(Wide(), SamModel(), segmenter=True)
    heads = sum(p.numel() for part in (model.regressor, model.segmenter) for p in part.parameters())
    assert 7.10e6 + heads == pytest.approx(7.9e6, abs=0.05e6)


def test_a_density_stride_beyond_the_encoders_is_refused():
    with pytest.raises(UsageError, match="density_stride"):
        counter(density_stride=1)


def test_normalisation_maps_the_mean_colour_to_zero():
    model = counter()
    images = (torch.tensor(Encoder.mean) * 255).round().to(torch.uint8).view(1, 3, 1, 1)
    assert model.normalise(images).abs().max() < 0.01


def test_a_regressor_that_is_zero_everywhere_still_learns_to_find_a_head():
    model = counter(segmenter=False).train()
    torch.nn.init.constant_(model.regressor.output.bias, -1.0)
    density = model(IMAGES).density
    assert float(density.detach().max()) == 0
    target = torch.zeros_like(density)
    target[:, :, 3, 4] = 1.0
    ((density - target) ** 2).sum().backward()
    bias = model.regressor.output.bias.grad
    assert bias is not None
    assert float(bias) == pytest.approx(-4.0)  # two heads, d/dz (0 - 1)^2 = -2 each; nothing from the empty cells
