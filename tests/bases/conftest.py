from pathlib import Path

import pytest
from registries import write_registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of which nothing is on this machine, neither in the user's folder nor in the hub's cache."""
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return write_registry(tmp_path / "shipped" / "registry.toml")
