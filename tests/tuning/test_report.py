from small_encoders import small_sam
from torch import nn
from tuned import tune

from sam_mprompt.tuning.report import report


def test_the_report_counts_base_adapters_and_heads_apart():
    encoder = tune(small_sam())
    model = nn.ModuleDict({"encoder": encoder, "regressor": nn.Linear(3, 2), "tied": nn.Module()})
    model["tied"].weight = model["regressor"].weight
    counted = report(model)
    base = sum(tensor.numel() for tensor in small_sam().parameters())
    adapter = 4 * (2 * 16 * 4 + 4 + 16)
    assert counted.by_part == {"encoder": (0, base), "encoder adapter": (adapter, adapter), "regressor": (8, 8)}
    assert (counted.trainable, counted.total) == (adapter + 8, base + adapter + 8)
    assert str(counted) == (
        f"600 of {base / 1000 + 0.6:.3g} k parameters train ({100 * 600 / (base + 600):.1f} %): encoder 0 of "
        f"{base / 1000:.3g} k, encoder adapter 592 of 592, regressor 8 of 8"
    )
    in_base = {"pos_embed", "patch_embed", "blocks", "neck"}
    assert report(encoder).by_part.keys() == in_base | {"blocks adapter"}
