"""What mkdocs does beyond its pages: write the references, show files of the repository as pages, mend their links."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from reference_tables import command_page, recipe_page

ROOT = Path(__file__).resolve().parent.parent

SHOWN = {
    "changelog.md": "CHANGELOG.md",
    "reference/bases.md": "checkpoints/README.md",
    "reference/sam-tiny.md": "checkpoints/sam-tiny.md",
    "reference/efficientnet-lite.md": "checkpoints/efficientnet-lite.md",
    "reference/adapters.md": "adapters/README.md",
    "reference/adapter-street.md": "adapters/street/README.md",
    "reference/adapter-dense.md": "adapters/dense/README.md",
    "reference/adapter-demo.md": "adapters/demo/README.md",
    "measured/accuracy.md": "benchmarks/**/accuracy.md",
    "measured/thirty.md": "benchmarks/**/thirty.md",
    "measured/speed.md": "benchmarks/**/speed.md",
    "measured/memory.md": "benchmarks/**/memory.md",
    "measured/scaling.md": "benchmarks/**/scaling.md",
    "measured/gpu.md": "benchmarks/**/gpu.md",
    "measured/costs.md": "benchmarks/**/costs.md",
    "measured/prompt_content.md": "benchmarks/**/prompt_content.md",
    "measured/conv_prompt.md": "benchmarks/**/conv_prompt.md",
}
"""Pages that are files of the repository, which stay where they are read on their own."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)(#[^)\s]*)?(?=\))")
_MARK = re.compile(r"^<!-- made from: ([\w ]+) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are files of the repository."""
    for page, source in _sources().items():
        files.append(File.generated(config, page, content=source.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Fill a page's marks, and turn links to files of the repository into links to the pages that show them."""
    uri = page.file.src_uri
    return _MARK.sub(lambda mark: made(mark[1]), relinked(markdown, uri))


def made(what: str) -> str:
    """Return what stands for a mark `made from: WHAT`. Raises KeyError for an unknown mark."""
    from sam_mprompt.cli.app import app
    from sam_mprompt.pretraining.recipe import PretrainRecipe
    from sam_mprompt.recipe.schema import Recipe

    makers = {
        "the recipe": lambda: recipe_page(Recipe),
        "the pretraining recipe": lambda: recipe_page(PretrainRecipe, level=3),
        "the commands": lambda: command_page(app),
    }
    return makers[what]()


def relinked(markdown: str, uri: str) -> str:
    """Return a page's text with links to files that are shown as pages leading to those pages; others stay."""
    sources = _sources()
    pages = {source: page for page, source in sources.items()}
    origin = sources.get(uri, ROOT / "docs" / uri).parent

    def relink(link: re.Match[str]) -> str:
        target = (origin / link[1]).resolve()
        if target in pages:
            target = ROOT / "docs" / pages[target]
        elif uri not in sources:
            return link[0]
        here = (ROOT / "docs" / uri).parent.as_posix()
        return posixpath.relpath(target.as_posix(), here) + (link[2] or "")

    return _LINK.sub(relink, markdown)


def _sources() -> dict[str, Path]:
    """Return the file behind each page that is one. Raises FileNotFoundError where it has gone."""
    found = {page: next(iter(sorted(ROOT.glob(pattern))), None) for page, pattern in SHOWN.items()}
    if gone := [pattern for page, pattern in SHOWN.items() if found[page] is None]:
        raise FileNotFoundError(f"expected files of the repository to show as pages, found none for {', '.join(gone)}")
    return {page: path for page, path in found.items() if path is not None}
