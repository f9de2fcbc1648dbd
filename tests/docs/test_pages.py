"""The documentation's links, pictures, files and build."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_pages import IN_A_CHECKOUT, PAGES, ROOT

import sam_mprompt

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the links lead to files of the checkout")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_pictures_of_a_page_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["how-it-works.md", "paper.md", "contributing.md"])
def test_files_that_a_page_names_exist(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:sam_mprompt|tests|checkpoints|docs)/[\w/.-]+)`", text))
    assert {name for name in named if not (ROOT / name).exists()} == set() != named


def test_the_python_reference_is_what_is_public_and_nothing_else():
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    described = {*re.findall(r"^::: sam_mprompt\.(\w+)$", text, re.MULTILINE), "__version__"}
    assert described == set(sam_mprompt.__all__)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="the documentation is built by the extra [docs]")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    return folder


@pytest.mark.slow
def test_every_public_name_is_described_on_the_built_site(site):
    html = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in set(sam_mprompt.__all__) - {"__version__"}:
        assert f'id="sam_mprompt.{name}"' in html
    for method in ("Counter.count_many", "Counter.load_adapter", "CountResult.points", "CountResult.overlay"):
        assert f'id="sam_mprompt.{method}"' in html


@pytest.mark.slow
def test_the_references_are_on_the_built_site(site):
    recipes = (site / "reference" / "recipes.html").read_text(encoding="utf-8")
    assert "max_grad_norm" in recipes
    assert "global_attn_indexes" in recipes
    assert "made from:" not in recipes
    assert "--recipe" in (site / "reference" / "commands.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site):
    fetched = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s>]+", re.IGNORECASE)
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    assert {page.name: fetched.findall(page.read_text(encoding="utf-8")) for page in pages} == {
        page.name: [] for page in pages
    }
