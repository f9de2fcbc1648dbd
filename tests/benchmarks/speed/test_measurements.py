import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from benchmarks import gpu
from benchmarks.evaluation import OnePerCell, nine_crops
from benchmarks.memory import fits
from benchmarks.pairs import multiply_adds
from benchmarks.prompt_content import content
from benchmarks.quantised import quantise
from benchmarks.sam_encoders import LIBRARIES, features_of
from benchmarks.training_step import with_bottlenecks
from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tuning.attach import attach

SMALL = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16)


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_builds_the_same_encoder(name):
    encoder = LIBRARIES[name](SMALL, 224)
    assert features_of(encoder(torch.zeros(2, 3, 224, 224))).shape == (2, 16, 14, 14)
    blocks = {"attn.qkv.weight", "attn.proj.weight", "mlp.lin1.weight", "mlp.lin2.weight"}
    sizes = sorted(p.numel() for p in encoder.parameters())
    ours = SamEncoder.random(SMALL)
    assert blocks <= {key.removeprefix("blocks.0.") for key in ours.state_dict()}
    weights = sum(p.numel() for name, p in ours.named_parameters() if "pos" not in name)
    positions = sum(p.numel() for name, p in encoder.named_parameters() if "pos" in name)
    assert sum(sizes) - positions == weights


def test_multiply_adds_of_products_and_attention_are_counted():
    a, b = torch.zeros(2, 3), torch.zeros(3, 4)
    assert multiply_adds(lambda: a @ b) == 2 * 3 * 4
    q = torch.zeros(1, 2, 8, 16)
    assert multiply_adds(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * 2 * 8 * 8 * 16


def test_frozen_linear_layers_become_int8_and_prompt_modules_do_not():
    encoder = attach(SamEncoder.random(SMALL), "prompt", bottleneck=4).eval()
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = encoder(images)
        quantise(encoder)
        after = encoder(images)
    left = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    assert trained <= {name for name, _ in encoder.named_parameters()}
    assert all(any(name.startswith(f"{layer}.") for name in trained) for layer in left)
    assert 0 < (after - before).norm() < 0.05 * before.norm()


@given(first=st.integers(1, 2**33), each=st.integers(1, 2**33), gib=st.integers(1, 32))
def test_the_largest_batch_fits_and_one_more_does_not(first, each, gib):
    batch = fits(first, first + each, gib)
    needed = [first + (n - 1) * each for n in (batch, batch + 1)]
    assert batch == 0 or needed[0] <= gib * 2**30
    assert needed[1] > gib * 2**30


def test_nine_crops_leave_gaps_where_sides_are_no_multiples_of_four_cells(make_image):
    assert nine_crops(OnePerCell(), make_image(768, 1024)) == 96 * 128
    assert nine_crops(OnePerCell(), make_image(750, 1000)) < 0.99 * 750 * 1000 / 64


@pytest.fixture
def make_image():
    return lambda height, width: torch.zeros(height, width, 3, dtype=torch.uint8).numpy()


def test_the_usual_way_trains_its_bottlenecks_alone():
    encoder = with_bottlenecks(SMALL, 224)
    names = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert len(names) == 2 * 2 * 4
    assert all(".down." in name or ".up." in name for name in names)


@pytest.mark.slow
@pytest.mark.usefixtures("cpp_compiler")
def test_the_gpu_table_has_every_row_that_a_cpu_can_go_through():
    rows = gpu.measure(gpu.miniature())
    said = "\n".join(row.what for row in rows)
    for part in ("bfloat16", "compiled", "recomputed", "peak memory", "channels last", "pinned"):
        assert part in said
    assert {row.against for row in rows} >= {"segment_anything", "timm", "transformers"}


def test_the_gpu_table_refuses_to_measure_a_cpu(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        gpu.main()
    assert "--miniature" in capsys.readouterr().err


def test_an_empty_pseudo_mask_says_nothing_and_a_wide_one_more_than_the_points():
    small = ["synthetic.train=2", "synthetic.size=224", "targets.pseudo_mask=empty"]
    empty = content(load_recipe("demo", small), None)
    assert (empty.only_pseudo, empty.only_density) == (0.0, 1.0)
    wide = content(load_recipe("demo", [*small, "targets.pseudo_mask=points", "targets.point_dilation=40"]), None)
    assert wide.only_pseudo > 0.5
    assert wide.only_density == 0.0
    assert wide.mask > empty.mask
