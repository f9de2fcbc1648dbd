import numpy as np
import onnxruntime
import pytest
import torch
from small_counter import Patches

from sam_mprompt.deploy.capture import capture
from sam_mprompt.deploy.onnx_files import onnx_model
from sam_mprompt.losses.counts import BinStatistics
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.decoders import BlockOutput
from sam_mprompt.recipe.schema import SamModel


@pytest.mark.slow
def test_a_counter_of_distributions_is_one_graph_that_gives_the_same_density():
    torch.manual_seed(0)
    counter = CrowdCounter(Patches(), SamModel(), segmenter=False, bins=4).requires_grad_(False).eval()
    output = counter.regressor.output
    assert isinstance(output, BlockOutput)
    output.begin(BinStatistics.of([np.array([0, 0, 0, 1, 2, 7], np.float32)], 4))
    torch.nn.init.normal_(output.weight)
    file = onnx_model(capture(counter, 16)).SerializeToString()
    tiles = torch.randn(3, 3, 16, 16)
    found = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"tiles": tiles.numpy()})
    expected = counter(tiles).density[:, 0].numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-6)
