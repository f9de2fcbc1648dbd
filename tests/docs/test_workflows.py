"""What runs elsewhere than here: scripts that workflows name exist, and the form for bugs asks for what helps."""

import os
import re
import subprocess

import pytest
from docs_pages import ROOT
from fuzz.parsers import parsers

yaml = pytest.importorskip("yaml", reason="comes with the documentation's packages")

pytestmark = pytest.mark.skipif(not (ROOT / ".ci" / "run").is_file(), reason="the files of a checkout")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / ".ci").glob("*"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_reads_only_and_runs_what_is_there(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}, "jobs that write say so themselves"
    named = {script for step in steps(workflow) for script in re.findall(r"\.ci/[\w-]+", step.get("run", ""))}
    assert {script for script in named if not os.access(ROOT / script, os.X_OK)} == set()


def test_advisories_are_asked_for_strictly():
    weekly = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text("utf-8"))
    [asked] = [step["run"] for step in steps(weekly) if step.get("run", "").startswith("pip-audit")]
    assert "--strict" in asked.split(), "else what cannot be looked up counts as sound"


def test_every_family_of_parsers_is_fuzzed_each_week_and_some_by_the_gate():
    weekly = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text("utf-8"))
    assert set(weekly["jobs"]["fuzz"]["strategy"]["matrix"]["family"]) == {name.split("/")[0] for name in parsers()}
    gate = (ROOT / ".ci" / "run").read_text("utf-8").replace("\\\n", " ")
    [named] = re.findall(r"tests\.fuzz\.guided (.*?) --", gate)
    assert set(named.split()) <= set(parsers())


def test_a_bug_report_is_asked_for_what_doctor_prints():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text("utf-8"))
    asked = {field["id"]: field for field in form["body"] if "id" in field}
    assert "sam-mprompt doctor" in asked["doctor"]["attributes"]["label"]
    assert all(asked[name]["validations"]["required"] for name in ("happened", "command", "doctor"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_of_the_gate_can_be_parsed(path):
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tests_that_run_with_the_oldest_versions_exist():
    gate = (ROOT / ".ci" / "run").read_text("utf-8").replace("\\\n", " ")
    [line] = [line for line in gate.splitlines() if '"$scratch/lowest/bin/python" -m pytest' in line]
    named = re.findall(r"tests/\S+", line)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
