from pathlib import Path

import torch

from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.bases.locate import resolve, verify
from sam_mprompt.cli.image_paths import expand
from sam_mprompt.counting.counter import load
from sam_mprompt.models.sam_config import CONFIGS
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.pretraining.recipe import load_pretrain_recipe


def test_the_bundled_base_is_the_file_that_the_registry_describes():
    status = verify("sam-tiny")
    assert status.state == "ready", status.detail


def test_it_has_the_shape_of_random_tiny_and_of_its_recipe_in_at_most_12_mb():
    encoder = SamEncoder.from_checkpoint("sam-tiny")
    assert encoder.config == CONFIGS["tiny"]
    recipe = load_pretrain_recipe("sam-tiny").encoder.model_dump()
    assert {name: getattr(encoder.config, name) for name in recipe} == recipe
    assert 5e6 < sum(parameter.numel() for parameter in encoder.parameters()) < 6e6
    assert Path(resolve("sam-tiny")).stat().st_size <= 12e6


def test_its_features_tell_images_apart_and_are_finite():
    encoder = SamEncoder.from_checkpoint("sam-tiny").eval()
    with torch.inference_mode():
        first, second = encoder(torch.randn(2, 3, 224, 224))[0]
    assert first.isfinite().all()
    assert (first - second).abs().mean() > 0.05


def test_the_demo_adapter_counts_the_shipped_pictures(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # as after an installation from a wheel: no checkout around
    counter = load(find_adapter("adapters/demo"))
    heads = {"plaza": 20, "lawn": 169, "street": 196}  # as annotated by the scenes' painter
    for image in expand(["adapters/demo/examples"]).images:
        actual = heads.pop(image.stem)
        assert abs(counter.count(image).count - actual) < 10 + 0.1 * actual, image
    assert not heads
