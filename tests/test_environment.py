"""What is told of the place that something ran in, and what is not."""

import getpass
import json
import platform
from pathlib import Path

import pytest

from sam_mprompt import environment
from sam_mprompt.environment import (
    PACKAGES,
    cores_given,
    cores_of_container,
    installed,
    instructions,
    processor,
    python_and_system,
    training_environment,
)


def test_nothing_names_the_machine_the_user_or_a_folder(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "a-machine-of-mine")
    told = json.dumps([training_environment("cpu", 2), python_and_system()])
    assert "a-machine-of-mine" not in told
    assert str(Path.home()) not in told
    assert f'"{getpass.getuser()}"' not in told


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_containers_limit_is_read_in_both_versions_of_control_groups(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores_of_container(tmp_path) == cores


def test_a_container_gives_less_than_the_machine_has_and_never_more(monkeypatch):
    monkeypatch.setattr(environment, "cores_of_container", lambda: None)
    bound = cores_given()
    for limit, given in ((0.5, 0.5), (10_000.0, bound), (None, bound)):
        monkeypatch.setattr(environment, "cores_of_container", lambda limit=limit: limit)
        assert cores_given() == min(given, bound)


def test_a_processor_has_a_name_or_an_architecture(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU @ 2 GHz"
    assert processor(tmp_path / "nothing") in (platform.processor(), platform.machine())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("flags\t\t: fpu sse2 avx512_bf16\nvmx flags\t: vnmi\n", {"fpu", "sse2", "avx512_bf16"}),
        ("nothing of it\n", set()),
    ],
)
def test_a_processors_instructions_are_read_where_the_system_tells(tmp_path, text, names):
    (tmp_path / "cpuinfo").write_text(text)
    assert instructions(tmp_path / "cpuinfo") == names
    assert instructions(tmp_path / "nothing") == set()


def test_a_package_that_two_distributions_bring_is_told_twice(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda _name: "4.9")
    assert installed("opencv") == [f"{name} 4.9" for name in PACKAGES["opencv"]]
    assert installed("numpy") == ["4.9"]
