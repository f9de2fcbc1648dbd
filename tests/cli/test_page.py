"""`ui`: what is wrong is told before anything is loaded."""

import pytest

from sam_mprompt.cli import page as served_by_the_page
from sam_mprompt.data import packages
from sam_mprompt.resources import bundled
from sam_mprompt.ui import page as shown
from sam_mprompt.ui import server


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["adapters/nowhere"], "No adapter 'adapters/nowhere'"),
        (["a=adapters/demo", "a=adapters/demo"], "Two adapters are called 'a'"),
        (["--host", "0.0.0.0"], "Set $SAM_MPROMPT_TOKEN or give --token-file FILE; or --without-token"),
        (["--workspace", "a-file/page"], "a-file' is no folder"),
        (["--max-video-megabytes", "0"], "max-video-megabytes"),
    ],
)
def test_a_mistake_ends_with_2_and_one_line(run_cli, words, said, tmp_path, monkeypatch):
    monkeypatch.delenv("SAM_MPROMPT_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    outcome = run_cli("ui", *words)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_without_the_packages_of_the_extra_it_says_what_to_install(run_cli, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(packages, "import_module", missing)
    outcome = run_cli("ui")
    assert outcome.code == 2
    assert "pip install 'sam-mprompt[ui]'" in outcome.err


def test_the_adapters_that_ship_can_be_chosen_where_none_is_named(run_cli, monkeypatch, tmp_path):
    chosen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(served_by_the_page, "opened", lambda sources, **_: chosen.append(dict(sources)) or (None, None))
    monkeypatch.setattr(server, "run", lambda *_, **__: None)
    monkeypatch.setattr(shown, "Page", lambda *_: None)
    assert run_cli("ui").code == 0
    assert [list(sources) for sources in chosen] == [["street", "dense", "demo"]]
    assert {path.name for path in bundled("adapters").iterdir() if path.is_dir()} == set(chosen[0])
