import itertools

import pytest
import torch
from pooling_backend import noise
from timm.layers import padding
from timm.layers.conv2d_same import Conv2dSame
from torch.export import Dim

from sam_mprompt import load
from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.deploy.export import export
from sam_mprompt.deploy.same_padding import plain_padding, same_padding


def test_the_padding_is_timms_for_every_side_kernel_stride_and_dilation():
    for sizes in itertools.product(range(1, 40), (1, 2, 3, 5, 7), (1, 2, 3, 4), (1, 2)):
        assert same_padding(*sizes) == padding.get_same_padding(*sizes), sizes


def test_in_a_graph_of_free_sides_the_padding_is_a_number():
    sides = {2: 16 * Dim("rows", min=2, max=99), 3: 16 * Dim("columns", min=2, max=99)}
    layers = torch.nn.Sequential(Conv2dSame(1, 1, 3, stride=2), Conv2dSame(1, 1, 5, stride=2)).eval()
    usual = padding.get_same_padding
    with plain_padding():
        program = torch.export.export(layers, (torch.zeros(1, 1, 48, 80),), dynamic_shapes=(sides,))
    assert padding.get_same_padding is usual
    pads = [node.args[1] for node in program.graph.nodes if "pad" in str(node.target)]
    assert pads == [[0, 1, 0, 1], [1, 2, 1, 2]]
    image = torch.randn(1, 1, 112, 32)
    torch.testing.assert_close(program.module()(image), layers(image))


@pytest.mark.slow
def test_a_network_with_such_padding_is_one_file_of_pytorchs_own_for_all_sizes(tmp_path):
    street = find_adapter("street")
    made = export(AdapterFolder.read(street), tmp_path / "street.pt2", kind="pt2", images=[noise(200, 300)])
    image = noise(330, 450)
    assert load(made.path, device="cpu").count(image).count == pytest.approx(load(street).count(image).count, rel=1e-4)
