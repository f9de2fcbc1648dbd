"""The distribution without torch: what it needs is what the whole one needs of the same packages, and no more."""

import re
import tomllib

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT
from packaging.requirements import Requirement

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the folder of a checkout")

LITE = ROOT / "deploy-lite"
ALLOWED = {"numpy", "onnxruntime", "opencv-python-headless", "pillow", "rich", "typer"}


def requirements(table):
    return {found.name: str(found.specifier) for found in map(Requirement, table["project"]["dependencies"])}


def test_it_needs_six_packages_in_the_versions_of_the_whole_distribution():
    lite, whole = (tomllib.loads((folder / "pyproject.toml").read_text("utf-8")) for folder in (LITE, ROOT))
    own, others = requirements(lite), requirements(whole)
    assert own.keys() == ALLOWED
    others["opencv-python-headless"] = others["opencv-python"]
    [runtime] = [one for one in map(Requirement, whole["project"]["optional-dependencies"]["onnx"])
                 if one.name == "onnxruntime"]  # fmt: skip
    assert own == {name: others.get(name, str(runtime.specifier)) for name in ALLOWED}
    extras = lite["project"]["optional-dependencies"]
    assert extras == {name: whole["project"]["optional-dependencies"][name] for name in ("openvino", "serve")}
    assert lite["project"]["requires-python"] == whole["project"]["requires-python"]
    assert lite["project"]["scripts"] == whole["project"]["scripts"]


def instructions():
    text = (LITE / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_copies_what_is_there_runs_as_nobody_in_particular_and_starts_the_command():
    words = instructions()
    assert {word for word, _ in words} <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "ENTRYPOINT", "CMD"}
    sources = [
        source for word, rest in words if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]
    ]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    kept = {line[1:] for line in (LITE / "Dockerfile.dockerignore").read_text("utf-8").splitlines() if line[0] == "!"}
    assert {source.removeprefix("./") for source in sources} == kept
    assert [rest for word, rest in words if word == "USER"] == ["counter"]
    assert ["ENTRYPOINT", '["sam-mprompt"]'] in words
    assert all(re.fullmatch(r"python:3\.\d+-slim( AS build)?", rest) for word, rest in words if word == "FROM")
    names = [word for word, _ in words]
    assert names.index("USER") > len(names) - names[::-1].index("RUN") - 1, "nothing runs as root behind it"
