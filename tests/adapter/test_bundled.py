"""The adapters that ship: they load with nothing but what is installed, and their cards say what was measured."""

import json
import re
import socket

import pytest
import torch

import sam_mprompt
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.data.scenes.crowd import crowd_scene
from sam_mprompt.resources import bundled

SHIPPED = sorted(path.name for path in bundled("adapters").iterdir() if path.is_dir())
OF_PHOTOGRAPHS = {"dense": "part_A", "street": "part_B"}
"""By name the part of ShanghaiTech that it saw."""

_MEGABYTE = 1 << 20


def _card(name):
    return (bundled("adapters") / name / "README.md").read_text(encoding="utf-8")


def test_every_adapter_that_ships_is_the_demo_or_a_counter_of_photographs():
    assert sorted(["demo", *OF_PHOTOGRAPHS]) == SHIPPED


@pytest.mark.parametrize("name", OF_PHOTOGRAPHS)
def test_a_counter_of_photographs_counts_without_a_network_and_with_error_bars(name, monkeypatch):
    def refused(*_):
        raise AssertionError("nothing is fetched")

    monkeypatch.setattr(socket.socket, "connect", refused)
    counter = sam_mprompt.load(bundled("adapters") / name, device="cpu")
    result = counter.count(crowd_scene(0, 0, (320, 480)).image)
    interval = result.interval(0.9)
    assert interval is not None
    assert 0 <= interval.low <= result.count <= interval.high > interval.low


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="asks oneDNN")
def test_convolutions_of_a_counter_are_laid_out_for_their_kernels_on_a_cpu():
    encoder = sam_mprompt.load(bundled("adapters") / "street", device="cpu").model.encoder
    assert encoder.backbone.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", OF_PHOTOGRAPHS)
def test_a_counter_of_photographs_is_a_few_megabytes_of_weights_and_no_image(name):
    files = [path for path in (bundled("adapters") / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6 * _MEGABYTE
    assert {path.suffix for path in files} == {".json", ".md", ".safetensors", ".toml"}


@pytest.mark.parametrize("name", OF_PHOTOGRAPHS)
def test_the_card_of_a_counter_of_photographs_says_what_it_saw_and_where_it_fails(name):
    card, adapter = _card(name), AdapterFolder.read(bundled("adapters") / name)
    for said in ("ShanghaiTech", "released for research", "## Where it fails", "development test split"):
        assert said in card
    figures = adapter.metrics["val"]
    row = f"| val (chose the epoch) | {figures['images']} | {figures['mae']:.2f} | {figures['rmse']:.2f} |"
    assert f"{row} {figures['nae']:.3f} |" in card
    assert adapter.scope is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_PHOTOGRAPHS)
def test_what_a_card_gives_for_the_development_test_split_is_what_counting_it_gives(name, real_data, run_cli, tmp_path):
    data, out = real_data / "shanghaitech" / OF_PHOTOGRAPHS[name], tmp_path / "out.json"
    done = run_cli("evaluate", bundled("adapters") / name, "--data", data, "--split", "test", "--json", out)
    assert done.code == 0
    found = json.loads(out.read_text())
    told = re.search(r"\| development test split \| (\d+) \| ([\d.]+) \| ([\d.]+) \|", _card(name))
    assert told is not None
    assert found["metrics"]["images"] == int(told[1])
    assert found["metrics"]["mae"] == pytest.approx(float(told[2]), abs=0.02)
    assert found["metrics"]["rmse"] == pytest.approx(float(told[3]), abs=0.05)
    bars = re.search(r"bars of 90 % hold (\d+) of (\d+) true counts", _card(name))
    assert bars is not None
    assert abs(found["coverage"]["inside"] * int(bars[2]) - int(bars[1])) <= 1
