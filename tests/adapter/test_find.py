import pytest

from sam_mprompt.adapter.find import find_adapter, known_adapters
from sam_mprompt.errors import UsageError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/a/adapter", "runs/b", "adapters/c"):
        (tmp_path / folder).mkdir(parents=True)
    for adapter in ("runs/a/adapter", "adapters/c"):
        (tmp_path / adapter / "counter.json").write_text("{}")


def test_adapters_are_found_in_runs_and_in_adapters():
    assert {"a", "c"} <= known_adapters().keys()
    assert "b" not in known_adapters()


@pytest.mark.parametrize("name", ["a", "runs/a", "runs/a/adapter"])
def test_an_adapter_is_found_by_name_by_run_and_by_folder(name):
    assert find_adapter(name).as_posix() == "runs/a/adapter"


def test_a_run_without_an_adapter_is_told_apart_from_a_missing_one():
    with pytest.raises(UsageError, match="neither an adapter nor a run with one"):
        find_adapter("runs/b")
    with pytest.raises(UsageError, match="No adapter 'x'"):
        find_adapter("x")
