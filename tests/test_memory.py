import resource

import pytest

from sam_mprompt.memory import available_memory, whole_memory

MEMINFO = "MemTotal:  900 kB\nMemAvailable:     500 kB\nSwapFree:  100 kB\n"


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A machine that tells of 600 kB, and a process without a limit of its own."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    (tmp_path / "proc" / "self" / "statm").write_text("10 5 3\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return tmp_path / "proc"


def container(folder, names, limit, used, cached):
    for name, text in zip(names, (limit, used, f"anon 1\n{cached}\n"), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(str(text))
    return folder


V2 = ("memory.max", "memory.current", "memory.stat")
V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat")


def test_what_the_machine_has_left_is_its_available_memory_and_its_swap(proc, tmp_path):
    assert available_memory(proc, tmp_path / "none") == 600 * 1024


@pytest.mark.parametrize(("names", "cached"), [(V2, "inactive_file"), (V1, "total_inactive_file")])
def test_a_containers_limit_counts_where_it_is_less_and_its_files_are_free(proc, tmp_path, names, cached):
    cgroup = container(tmp_path / "cgroup", names, 10_000, 7_000, f"{cached} 2000")
    assert available_memory(proc, cgroup) == 5_000


def test_a_container_without_a_limit_counts_for_nothing(proc, tmp_path):
    assert available_memory(proc, container(tmp_path / "cgroup", V2, "max", 7_000, "inactive_file 1")) == 600 * 1024


def test_the_process_own_limit_counts_less_what_it_has(proc, tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (90_000, 90_000))
    monkeypatch.setattr("os.sysconf", lambda _: 4_096)
    assert available_memory(proc, tmp_path / "none") == 90_000 - 10 * 4_096
    (proc / "self" / "statm").write_text("100 5 3\n")
    assert available_memory(proc, tmp_path / "none") == 0


def test_where_nothing_tells_nothing_is_known(proc, tmp_path):
    assert available_memory(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize("names", [V2, V1])
def test_a_container_has_its_share_of_the_whole_memory(tmp_path, names):
    machine = whole_memory(tmp_path / "none")
    assert machine > 10**8
    assert whole_memory(container(tmp_path / "cgroup", names, 12_345, 0, "file 0")) == 12_345
    assert whole_memory(container(tmp_path / "open", names, "max", 0, "file 0")) == machine
