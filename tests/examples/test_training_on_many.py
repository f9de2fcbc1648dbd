"""The examples for Slurm and Kubernetes ask for what their page says, and start commands that are ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docs_pages import IN_A_CHECKOUT, PAGES, ROOT
from torch.distributed.run import get_args_parser
from typer.main import get_command

from sam_mprompt.cli.app import app

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the folder of a checkout")

SLURM, KUBERNETES = ROOT / "examples" / "training" / "slurm.sbatch", ROOT / "examples" / "training" / "kubernetes.yaml"
LIST_AND_LEAVE = '#!/bin/bash\nprintf \'%s\\0\' "$@" > "$LISTED"\n'


def launched(words):
    """Return what torchrun reads of its words, and what `finetune` reads of the rest."""
    given = get_args_parser().parse_args(words)
    assert given.module
    assert given.training_script == "sam_mprompt"
    name, *rest = given.training_script_args
    assert name == "finetune"
    command = get_command(app).commands["finetune"]
    return given, command.make_context("finetune", rest).params


def torchrun_of(tmp_path, command, variables, stand_ins=()):
    """Run a command in bash with stand-ins for programs, and return the words that torchrun got."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    for name, content in (("torchrun", LIST_AND_LEAVE), *stand_ins):
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    listed = tmp_path / "words"
    known = {"PATH": f"{programs}:/usr/bin:/bin", "LISTED": str(listed), **variables}
    subprocess.run(command, check=True, env=known, cwd=tmp_path, timeout=60)
    return listed.read_text().split("\0")[:-1]


@pytest.mark.parametrize("again", [False, True])
def test_the_slurm_script_starts_one_torchrun_a_node_and_goes_on_where_there_is_a_state(tmp_path, again):
    if again:
        (tmp_path / "run" / "state").mkdir(parents=True)
    of_slurm = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "123456", "SLURM_NNODES": "2", "SLURM_NODEID": "1"}
    of_slurm |= {"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "32"}
    stand_ins = [
        ("scontrol", '#!/bin/bash\n[ "$*" = "show hostnames node[7-8]" ] && printf "node7\\nnode8\\n"\n'),
        ("srun", '#!/bin/bash\nwhile [ "$1" != bash ]; do shift; done\nexec "$@"\n'),
    ]
    command = ["bash", str(SLURM), "a recipe.toml", "photos", "run"]
    given, wanted = launched(torchrun_of(tmp_path, command, of_slurm, stand_ins))
    assert (given.nnodes, given.node_rank, given.nproc_per_node) == ("2", 1, "4")
    assert given.rdzv_endpoint == "node7:23456"
    assert (wanted["recipe"], wanted["data"], wanted["out"]) == ("a recipe.toml", Path("photos"), Path("run"))
    assert wanted["resume"] is again


def test_the_slurm_script_asks_for_a_task_a_node_and_a_signal_before_the_end():
    asked = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in SLURM.read_text().splitlines()
        if line.startswith("#SBATCH")
    )
    assert asked["ntasks-per-node"] == "1"
    assert asked["signal"] == "TERM@120"
    assert {"nodes", "gpus-per-node", "cpus-per-task", "time", "requeue"} <= asked.keys()


def test_the_slurm_script_is_sound_bash():
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    beside = shutil.which("shellcheck", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if beside is None:
        pytest.skip("shellcheck is not installed; the extra dev has it")
    checked = subprocess.run([beside, str(SLURM)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.fixture(scope="module")
def service_and_job():
    service, job = yaml.safe_load_all(KUBERNETES.read_text())
    return service, job


def test_the_service_gives_the_pods_of_the_job_names_before_they_are_ready(service_and_job):
    service, job = service_and_job
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert service["spec"].keys() == {"clusterIP", "publishNotReadyAddresses", "selector", "ports"}
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]


def test_the_job_has_a_pod_for_each_machine_that_goes_on_when_it_fails(service_and_job):
    job = service_and_job[1]
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert spec.keys() == {"completionMode", "completions", "parallelism", "backoffLimit", "template"}
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    pod = spec["template"]["spec"]
    assert pod.keys() == {"subdomain", "restartPolicy", "terminationGracePeriodSeconds", "containers", "volumes"}
    assert pod["restartPolicy"] in ("OnFailure", "Never")  # all that a Job takes
    assert pod["terminationGracePeriodSeconds"] > 30  # what torchrun gives its processes
    (container,) = pod["containers"]
    assert container.keys() == {"name", "image", "env", "command", "args", "resources", "volumeMounts"}
    assert all(isinstance(variable["value"], str) for variable in container["env"])
    assert [float(variable["value"]) for variable in container["env"]] == [10]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_pods_command_meets_at_the_first_pod_and_fits_what_the_job_asks_for(tmp_path, service_and_job):
    service, job = service_and_job
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    given, wanted = launched(torchrun_of(tmp_path, command, {"JOB_COMPLETION_INDEX": "1"}))
    assert (given.node_rank, int(given.nnodes)) == (1, job["spec"]["completions"])
    assert int(given.nproc_per_node) == container["resources"]["limits"]["nvidia.com/gpu"]
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert given.rdzv_endpoint == f"{first}:{service['spec']['ports'][0]['port']}"
    assert not wanted["resume"]
    assert f"-d {wanted['out']}/state" in container["args"][0]
    shared = next(mount for mount in container["volumeMounts"] if mount["name"] == "training")["mountPath"]
    assert all(str(wanted[name]).startswith(f"{shared}/") for name in ("recipe", "data", "out"))


SHOWN = [
    (page.relative_to(ROOT).as_posix(), line.split()[1:])
    for page in PAGES
    for line in page.read_text(encoding="utf-8").splitlines()
    if line.startswith("torchrun ")
]


def test_the_pages_show_torchrun_on_one_machine_and_on_several():
    assert {"--standalone", "--rdzv-endpoint"} <= {word for _, words in SHOWN for word in words}


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[f"{page}-{at}" for at, (page, _) in enumerate(SHOWN)])
def test_a_torchrun_that_a_page_shows_is_one(page, words):
    given, _ = launched(words)
    assert given.standalone or given.rdzv_endpoint or given.nnodes == "1:1"
