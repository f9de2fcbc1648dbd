import pytest
import torch
from torch import nn

from benchmarks.speed.quantised import measure, quantise
from benchmarks.speed.sam_encoders import features_of
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.tuning.attach import attach


def test_frozen_linear_layers_become_int8_and_prompt_modules_do_not(small):
    encoder = attach(SamEncoder.random(small), "prompt", bottleneck=4).eval()
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = features_of(encoder(images))
        quantise(encoder)
        after = features_of(encoder(images))
    left = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    assert trained <= {name for name, _ in encoder.named_parameters()}
    assert all(any(name.startswith(f"{layer}.") for name in trained) for layer in left)
    assert 0 < (after - before).norm() < 0.05 * before.norm()


@pytest.mark.slow
def test_the_error_in_counts_stands_beside_the_time(small):
    (row,) = measure(small, sides=(64,), scenes=1, rounds=1)
    assert "counts differ by 0." in row.note
    assert "on 1 procedural crowds" in row.note
