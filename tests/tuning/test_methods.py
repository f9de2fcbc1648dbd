import importlib.util
from types import MappingProxyType

import pytest
import torch
from small_encoders import images, small_sam
from tuned import step, tune

from sam_mprompt.adapter.peft_layout import adapter_state, load_adapter_state
from sam_mprompt.tuning.adapters import disable
from sam_mprompt.tuning.methods import BARE, methods
from sam_mprompt.tuning.selection import base_tensors

# They rotate or decompose the weights, which leaves rounding behind; all others promise the base itself.
UP_TO_ROUNDING = {"boft", "deft", "frod", "hra", "osf"}
FOR_SMALL_LAYERS = {
    "c3a": {"block_size": 16},
    "fourierft": {"n_frequency": 50},
    "waveft": {"n_frequency": 50},
    **dict.fromkeys(("hira", "lily", "miss", "peanut", "psoft", "shira"), MappingProxyType({"r": 4})),
}
OF_PEFT = [name for name in methods() if name not in BARE]


@pytest.mark.filterwarnings("ignore")  # what peft's methods remark about themselves
@pytest.mark.parametrize("method", OF_PEFT)
def test_every_method_starts_as_the_base_trains_beside_it_and_comes_back_from_its_state(method):
    if method == "adamss" and importlib.util.find_spec("sklearn") is None:
        pytest.skip("adamss needs scikit-learn")
    options = FOR_SMALL_LAYERS.get(method, {})
    bare = small_sam(dim=64)
    expected, before = bare(images()), {name: tensor.clone() for name, tensor in bare.state_dict().items()}
    encoder = tune(bare, method, options=options)
    result = encoder(images())
    if method in UP_TO_ROUNDING:
        assert torch.allclose(result, expected, atol=1e-5)
    else:
        assert torch.equal(result, expected)

    for _ in range(2):
        step(encoder)
    trained = encoder(images())
    assert not torch.allclose(trained, result, atol=1e-4)
    after = base_tensors(encoder)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with disable(encoder):
        assert torch.allclose(encoder(images()), expected, atol=1e-5 if method in UP_TO_ROUNDING else 0)

    other = tune(small_sam(dim=64), method, options=options)
    load_adapter_state(other, adapter_state(encoder))
    assert torch.equal(other(images()), trained)
