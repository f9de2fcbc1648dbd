"""`docs/page.jpg`: the page with the bundled demo and one of its procedural examples, as Chromium shows it.

    python -m benchmarks.page_picture

Takes the extra `dev` and Chromium.
"""

import shutil
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from sam_mprompt.resources import bundled
from sam_mprompt.serve.loading import load_all, loader
from sam_mprompt.ui.limits import PageLimits
from sam_mprompt.ui.page import Page, Settings
from sam_mprompt.ui.server import PageServer

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "page.jpg"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-proxy-server"]
REGION = ((0.5, 0.06), (0.97, 0.06), (0.97, 0.42), (0.62, 0.42), (0.5, 0.3), (0.5, 0.06))
"""Corners as shares of the canvas."""


def compose(tab: Tab, address: str) -> None:
    """Open an example, draw a region around a part of it, and show the heat map."""
    tab.goto(address)
    tab.click("#examples button >> text=lawn")
    tab.wait_for_selector("#number:not(.none)", timeout=120_000)
    tab.check("[value=region]", force=True)
    box = tab.locator("#canvas").bounding_box()
    assert box is not None
    for x, y in REGION:
        tab.mouse.click(box["x"] + x * box["width"], box["y"] + (0.05 + 0.78 * y) * box["height"])
    tab.wait_for_selector(".list .value:not(:text('…'))")
    tab.check("[value=look]", force=True)
    tab.mouse.move(5, 5)
    tab.wait_for_timeout(500)


def main() -> None:
    """Make the picture anew."""
    load = loader(device="cpu")
    demo = bundled("adapters") / "demo"
    examples = {path.stem: path for path in sorted((demo / "examples").glob("*.jpg"))}
    with TemporaryDirectory() as folder, sync_playwright() as started:
        page = Page(load_all({"demo": str(demo)}, load), load, Settings(Path(folder), examples), PageLimits())
        server = PageServer(page, host="127.0.0.1", port=0)
        with page.running():
            thread = threading.Thread(target=server.run)
            thread.start()
            while not server.started:
                time.sleep(0.05)
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            tab = browser.new_page(viewport={"width": 1120, "height": 700})
            compose(tab, server.address)
            tab.screenshot(path=str(PICTURE), type="jpeg", quality=78)
            browser.close()
            server.should_exit = True
            thread.join()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
