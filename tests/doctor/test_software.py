"""What is installed is told, and what is missing, broken or too old is a problem with a remedy."""

import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from types import SimpleNamespace

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT
from packaging.requirements import Requirement

from sam_mprompt.cli.advice import advised
from sam_mprompt.doctor import software
from sam_mprompt.doctor.software import EXTRAS, LITE, NEEDED, WHOLE, broken, extras, outdated, versions

NOT_FOR_USERS = {"dev", "docs", "fuzz", "mutation"}


def declared(folder=ROOT):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def names(requirements):
    return {Requirement(line).name for line in requirements}


@cache
def all_distributions():
    return packages_distributions()


def distributions(modules):
    """The distributions that bring modules, of those that are installed here."""
    bringing = all_distributions()
    return {name.lower().replace("_", "-") for module in modules for name in bringing.get(module, [])}


@pytest.mark.skipif(not IN_A_CHECKOUT, reason="the pyproject.toml of a checkout")
@pytest.mark.parametrize(("of", "folder"), [(WHOLE, ROOT), (LITE, ROOT / "deploy-lite")])
def test_what_is_needed_is_what_the_distribution_depends_on(of, folder):
    assert set(NEEDED[of].values()) == names(declared(folder)["dependencies"])


@pytest.mark.skipif(not IN_A_CHECKOUT, reason="the pyproject.toml of a checkout")
def test_every_extra_for_users_is_told_with_all_its_packages():
    all_extras = declared()["optional-dependencies"]
    assert EXTRAS.keys() == all_extras.keys() - NOT_FOR_USERS, "a new extra says in EXTRAS what it is for"
    for extra, (purpose, modules) in EXTRAS.items():
        assert purpose
        wanted = names(all_extras[extra])
        wanted = names(all_extras["serve"]) if wanted == {"sam-mprompt"} else wanted
        assert wanted == {name.lower().replace("_", "-") for name in distributions(modules)} or len(modules) == len(
            wanted
        )


def test_an_extra_says_what_is_missing_and_what_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    rows = extras(WHOLE).rows
    assert rows["plots"] == "missing matplotlib: plots of a video's counts"
    assert rows["onnx"].startswith("missing onnxscript: writing exported files")
    assert rows["mat73"].startswith("installed: ")
    assert extras(LITE).rows.keys() == {"openvino"}


def test_a_missing_package_stops_the_main_job_and_the_command_that_brings_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    [problem] = broken(WHOLE)
    assert problem.stops
    assert advised(problem.error) == (
        "The package 'timm' is not installed, without which nothing works. Run 'pip install timm'."
    )


@pytest.mark.parametrize(
    ("module", "error", "told"),
    [
        ("cv2", ImportError("libGL.so.1: cannot open shared object file"), "opencv-python-headless"),
        ("timm", OSError("undefined symbol"), "Run 'pip install --force-reinstall timm'."),
    ],
)
def test_a_package_that_cannot_be_imported_is_told_with_its_reason(monkeypatch, module, error, told):
    def imported(name):
        if name == module:
            raise error

    monkeypatch.setattr(software, "import_module", imported)
    [problem] = broken(WHOLE)
    assert problem.stops
    assert str(error) in str(problem.error)
    assert told in advised(problem.error)


def test_a_version_that_is_too_old_is_told_with_the_one_to_install(monkeypatch):
    lines = ["torch>=2.10", "numpy>=1.26; python_version < '3'", "openvino>=2025.2; extra == 'openvino'", "nobody>=9"]
    found = {"torch": "2.9.1+cpu", "numpy": "1.0", "openvino": "2024.1"}
    monkeypatch.setattr(software, "distribution", lambda _: SimpleNamespace(requires=lines))

    def version(name):
        if name not in found:
            raise software.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(software, "version", version)
    torch, openvino = outdated(WHOLE)
    assert advised(torch.error) == "Expected torch>=2.10, got 2.9.1+cpu. Run 'pip install \"torch>=2.10\"'."
    assert (torch.stops, openvino.stops) == (True, False)
    found["torch"] = "2.10.0"
    assert len(list(outdated(WHOLE))) == 1


def test_two_distributions_of_one_package_are_a_note(monkeypatch):
    known = {"opencv": ["opencv-python 4.9", "opencv-python-headless 4.10"]}
    monkeypatch.setattr(software, "installed", lambda name: known.get(name, []))
    section = versions(LITE)
    [problem] = [one for one in section.problems if one.error.about == "several distributions"]
    assert not problem.stops
    assert "pip uninstall -y opencv-python-headless" in advised(problem.error)
    assert section.rows["opencv"] == "opencv-python 4.9 and opencv-python-headless 4.10"
    assert section.rows["torch"] == "not installed"
    assert "counts with exported files alone" in section.rows["sam-mprompt"]
