import pytest
import torch

from benchmarks.speed.sam_encoders import LIBRARIES, features_of
from sam_mprompt.models.sam_encoder import SamEncoder


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_builds_the_same_encoder(name, small):
    encoder = LIBRARIES[name](small, 224)
    assert features_of(encoder(torch.zeros(2, 3, 224, 224))).shape == (2, 16, 14, 14)
    blocks = {"attn.qkv.weight", "attn.proj.weight", "mlp.lin1.weight", "mlp.lin2.weight"}
    sizes = sorted(p.numel() for p in encoder.parameters())
    ours = SamEncoder.random(small)
    assert blocks <= {key.removeprefix("blocks.0.") for key in ours.state_dict()}
    weights = sum(p.numel() for name, p in ours.named_parameters() if "pos" not in name)
    positions = sum(p.numel() for name, p in encoder.named_parameters() if "pos" in name)
    assert sum(sizes) - positions == weights
