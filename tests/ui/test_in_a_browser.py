"""The page in a headless Chromium: what people do on it, from a photograph to a trained adapter."""

import os
import shutil
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from pooling_backend import noise
from small_page import Pooling, opened_page, small_page
from small_service import eventually, file_of, flat_png

from sam_mprompt.data.formats.read import read_split
from sam_mprompt.serve.loading import load_all, loader
from sam_mprompt.ui.limits import PageLimits
from sam_mprompt.ui.page import Page, Settings

pytestmark = pytest.mark.slow

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ALLOWED = ("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:")
PATIENCE = 300
"""Seconds after which something does not come any more, on a busy machine too; a training starts within them."""
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def chromium_or_skip():
    """Where Chromium is. Where it is required a missing one fails, as nobody would notice a test that skips."""
    missing = pytest.fail if os.environ.get("SAM_MPROMPT_CHROMIUM") == "required" else pytest.skip
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        missing("the package playwright is not installed")
    return shutil.which("chromium") or shutil.which("google-chrome") or missing("there is no Chromium")


@pytest.fixture(scope="module")
def browser():
    program = chromium_or_skip()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """A tab, and what it did that it should not."""

    def __init__(self, page):
        self.page, self.faults = page, []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda one: None if one.url.startswith(ALLOWED) else self.faults.append(one.url))
        page.on("dialog", lambda dialog: dialog.accept())

    def number(self):
        self.page.wait_for_selector("#number:not(.none)")
        return int(self.page.inner_text("#number").split()[0].replace(",", ""))

    def upload(self, *files):
        self.page.set_input_files("#file", files=list(files))

    def marked(self):
        return int(self.page.inner_text(".tally div:first-child b").replace(",", ""))

    def click_photo(self, x, y):
        """Click on a place of the canvas, given as shares of it."""
        box = self.page.locator("#canvas").bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def until(self, expression):
        """Wait until something is so, asking from here: the page's policy forbids to make scripts of text."""
        eventually(lambda: self.page.evaluate(expression), PATIENCE)


@contextmanager
def tab_of(browser, address, **options):
    context = browser.new_context(**{"viewport": WIDE, **options})
    tab = Tab(context.new_page())
    tab.page.goto(address)
    tab.page.wait_for_selector("#adapter option", state="attached")
    yield tab
    context.close()
    assert tab.faults == []


def upload_of(content, name="crowd.png", kind="image/png"):
    return {"name": name, "mimeType": kind, "buffer": content}


def test_a_photograph_is_counted_divided_corrected_saved_and_opened_again(browser, tmp_path):
    page = small_page(tmp_path, "station", "gate")
    with opened_page(page) as address, tab_of(browser, address) as tab:
        assert tab.page.is_visible("text=How many people are there?")
        tab.upload(upload_of(file_of(noise(240, 320))))
        whole = tab.number()
        assert whole > 0
        assert tab.page.is_visible("text=for 90 % of photographs")

        tab.page.select_option("#adapter", "gate")
        tab.until("document.querySelector('#adapter').value === 'gate'")
        assert tab.number() == whole

        tab.page.check("[value=region]", force=True)
        for corner in ((0.3, 0.25), (0.7, 0.25), (0.7, 0.7), (0.3, 0.7), (0.3, 0.25)):
            tab.click_photo(*corner)
        tab.page.wait_for_selector(".list .value:not(:text('…'))")
        inside, elsewhere = (float(text) for text in tab.page.locator("#part-count .list .value").all_inner_texts())
        assert inside > 0
        assert inside + elsewhere == pytest.approx(whole, abs=1)
        tab.page.click("[aria-label='Ignore region 1']")
        tab.page.wait_for_selector("text=Without the people in ignored regions")
        tab.until(f"parseInt(document.querySelector('#number').textContent) < {whole}")

        tab.page.click("#tab-correct")
        before = tab.marked()
        tab.page.evaluate("window.scrollTo(0, 0)")
        tab.page.focus("#canvas")
        tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("Enter")
        eventually(lambda: tab.marked() != before)
        changed = tab.marked()
        tab.page.keyboard.press("Control+z")
        eventually(lambda: tab.marked() == before)
        tab.page.keyboard.press("Control+Shift+z")
        eventually(lambda: tab.marked() == changed)
        tab.page.fill("#dataset", "market")
        tab.page.click("#save")
        tab.page.wait_for_selector("text=Saved in market.")

        tab.page.reload()
        tab.page.click("#tab-correct")
        tab.page.wait_for_selector("[aria-label='Open crowd.png of market']")
        tab.page.click("[aria-label='Open crowd.png of market']")
        tab.page.wait_for_selector("text=open now")
        assert tab.marked() == changed
    (sample,) = read_split(tmp_path / "datasets" / "market", "train", format="points", val_fraction=0.0).samples
    assert sample.count == changed


def test_what_is_not_saved_yet_outlives_a_reload(browser, tmp_path):
    with opened_page(small_page(tmp_path)) as address, tab_of(browser, address) as tab:
        tab.upload(upload_of(file_of(noise(240, 320))))
        tab.number()
        tab.page.click("#tab-correct")
        before = tab.marked()
        tab.click_photo(0.5, 0.5)
        tab.page.wait_for_selector("text=These corrections are not saved yet.")
        changed = tab.marked()
        assert abs(changed - before) == 1
        tab.page.reload()
        tab.number()
        tab.page.click("#tab-correct")
        tab.page.wait_for_selector("text=These corrections are not saved yet.")
        assert tab.marked() == changed


def typed_on(tab, field, meanwhile):
    """Type into a field, let something arrive, type on in the middle of it, and return what stands there."""
    tab.page.locator(field).fill("")
    tab.page.locator(field).press_sequentially("sta")
    tab.page.keyboard.press("ArrowLeft")
    meanwhile()
    tab.page.keyboard.type("X")
    return tab.page.input_value(field)


def choose(tab, adapter):
    """Choose an adapter without taking the focus away from where it is."""
    change = "([one, name]) => { one.value = name; one.dispatchEvent(new Event('change')); }"
    tab.page.evaluate(change, [tab.page.query_selector("#adapter"), adapter])


def test_a_datasets_name_is_typed_on_while_counts_arrive(browser, tmp_path):
    counter = Pooling()
    page = small_page(tmp_path, "station", "gate", counter=counter)
    with opened_page(page) as address, tab_of(browser, address) as tab:
        tab.upload(upload_of(file_of(noise(96, 128))))
        tab.number()
        tab.page.click("#tab-correct")

        def arrives():
            choose(tab, "gate")
            tab.until("document.querySelector('#veil').hidden && document.querySelector('#number:not(.none)')")
            tab.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")

        assert typed_on(tab, "#dataset", arrives) == "stXa"
        assert len(counter.calls) == 2
        tab.page.click("#save")
        tab.page.wait_for_selector("text=Saved in stXa.")


def test_a_regions_name_is_typed_on_while_its_count_arrives(browser, tmp_path):
    counter = Pooling()
    page = small_page(tmp_path, "station", "gate", counter=counter)
    with opened_page(page) as address, tab_of(browser, address) as tab:
        tab.upload(upload_of(file_of(noise(240, 320))))
        tab.number()
        tab.page.check("[value=region]", force=True)
        for corner in ((0.3, 0.25), (0.7, 0.25), (0.7, 0.7), (0.3, 0.25)):
            tab.click_photo(*corner)
        tab.page.wait_for_selector(".list .value:not(:text('…'))")
        counter.gate.clear()
        choose(tab, "gate")
        tab.page.wait_for_selector(".list .value:text('…')")

        def arrives():
            counter.gate.set()
            tab.page.wait_for_selector(".list .value:not(:text('…'))")

        name = "[aria-label='Name of region 1']"
        assert typed_on(tab, name, arrives) == "stXa"
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector("[aria-label='Ignore stXa']")


def test_an_adapter_is_trained_on_corrections_stopped_resumed_and_compared(browser, trained_run, tmp_path):
    load = loader(device="cpu")
    given = load_all({"before": str(trained_run / "adapter")}, load)
    settings = Settings(tmp_path, {}, overrides=("train.workers=0", "train.save_minutes=0.01"))
    page = Page(given, load, settings, PageLimits())
    with opened_page(page) as address, tab_of(browser, address) as tab:
        for seed in range(3):
            tab.upload(upload_of(file_of(noise(96, 128, seed)), f"{seed}.png"))
            tab.page.wait_for_selector(f"text=People in {seed}.png", state="attached")
            tab.number() if seed == 0 else tab.page.wait_for_selector("#number:not(.none)", state="attached")
            tab.page.click("#tab-correct")
            tab.click_photo(0.5, 0.5)
            tab.page.fill("#dataset", "station")
            tab.page.click("#save")
            tab.page.wait_for_selector("text=Saved in station.")
        tab.page.click("#tab-train")
        tab.page.fill("#minutes", "30")
        tab.page.click("#train")
        tab.page.wait_for_selector("text=/\\d+ % after/")
        assert tab.page.is_visible("text=Training station")
        tab.page.click("#stop")
        tab.page.wait_for_selector("[aria-label='Go on with station']")
        assert (tmp_path / "runs" / "station" / "state").is_dir()

        tab.page.fill("#minutes", "0.15")
        tab.page.click("#train")
        tab.page.wait_for_selector("text=station-2 is trained >> nth=0")
        tab.page.click("#use")
        tab.page.click("#tab-compare")
        tab.until("[...document.querySelectorAll('.versus b')].every(one => one.textContent !== '…')")
        assert tab.page.locator(".versus span").all_inner_texts() == ["before", "station-2"]
        tab.page.click("#compare-all")
        tab.page.wait_for_selector("tfoot")
        tab.page.wait_for_selector("#compare-all:not(:disabled)")
        assert tab.page.locator("tbody tr").count() == 3


def test_mistakes_are_told_in_a_sentence_and_the_page_goes_on(browser, tmp_path):
    page = small_page(tmp_path, max_bytes=1 << 20)
    expected = [
        (upload_of(b"%PDF-1.7\n" + bytes(1000), "a.pdf", "application/pdf"), "it is not an image of a known kind"),
        (upload_of(bytes(1 << 21), "large.jpg", "image/jpeg"), "expected at most 1 MB"),
        (upload_of(flat_png(30_000, 3_000), "huge.png"), "pixels"),
        (upload_of(file_of(noise(100, 100))[:-2000], "cut.png"), "cut.png"),
        (upload_of(b"no video", "a.mp4", "video/mp4"), "a.mp4"),
    ]
    context = browser.new_context(viewport=WIDE)
    tab = Tab(context.new_page())
    with opened_page(page) as address:
        tab.page.goto(address)
        tab.page.wait_for_selector("#examples button")
        for file, said in expected:
            tab.upload(file)
            tab.page.wait_for_selector(f"#notes .note:has-text('{said}'), .fault:has-text('{said}')")
            assert str(tmp_path) not in tab.page.inner_text("body")
        tab.upload(upload_of(file_of(noise(96, 128))))
        assert tab.number() > 0
    tab.page.click("#tab-correct")
    tab.page.click("#save")
    tab.page.wait_for_selector("#notes .note:has-text('does not answer')")
    context.close()
    assert all("Failed to load resource" in fault for fault in tab.faults)


def film(path, seconds=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, (128, 96))
    for number in range(seconds * 5):
        writer.write(np.ascontiguousarray(noise(96, 128, number)[..., ::-1]))
    writer.release()
    return path


def test_a_video_is_counted_over_time(browser, tmp_path):
    with opened_page(small_page(tmp_path)) as address, tab_of(browser, address) as tab:
        tab.page.set_input_files("#file", str(film(tmp_path / "square.mp4")))
        tab.page.wait_for_selector("text=Download as CSV")
        assert tab.page.inner_text("#film h2") == "square.mp4"
        assert tab.number() > 0
        with tab.page.expect_download() as download:
            tab.page.click("text=Download as CSV")
        rows = download.value.path().read_text().splitlines()
        assert rows[0] == "seconds,count,low,high"
        assert len(rows) == 7
        tab.upload(upload_of(file_of(noise(96, 128))))
        assert tab.page.wait_for_selector("#canvas").is_visible()


def test_another_pages_script_can_neither_read_nor_change_anything(browser, tmp_path):
    with opened_page(small_page(tmp_path)) as address, opened_page(small_page(tmp_path)) as other:
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(other)
        tried = """async (address) => {
            const answers = [];
            for (const options of [{}, {method: 'POST', mode: 'no-cors', body: '{}'}])
                answers.push(await fetch(address + 'api/training', options).then(one => one.type, () => 'refused'));
            return answers;
        }"""
        assert tab.evaluate(tried, address) == ["refused", "refused"]
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser, tmp_path, scheme):
    options = {"viewport": NARROW, "color_scheme": scheme, "has_touch": True, "is_mobile": True}
    with opened_page(small_page(tmp_path, "station", "gate")) as address, tab_of(browser, address, **options) as tab:
        tab.upload(upload_of(file_of(noise(240, 320))))
        tab.number()
        for part in ("count", "correct", "train", "compare"):
            tab.page.click(f"#tab-{part}")
            assert tab.page.evaluate("document.documentElement.scrollWidth") == 390
        tab.page.click("#tab-correct")
        before = tab.marked()
        box = tab.page.locator("#canvas").bounding_box()
        tab.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        eventually(lambda: tab.marked() != before)


def test_every_text_can_be_read_against_its_ground(browser, tmp_path):
    contrast = """() => {
      const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (one) => { for (let at = one; at; at = at.parentElement) { const own = getComputedStyle(at).backgroundColor; if (!/, 0\\)|transparent|color/.test(own)) return own; } return 'rgb(255, 255, 255)'; };
      const faults = [];
      for (const one of document.querySelectorAll('body *')) {
        if (![...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()) || !one.offsetParent || one.closest(':disabled')) continue;
        if (one.matches('.none, option, .hint')) continue;
        const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) faults.push(`${one.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
      }
      return faults;
    }"""  # noqa: E501 - one expression of another language
    for scheme in ("light", "dark"):
        with (
            opened_page(small_page(tmp_path, "station", "gate")) as address,
            tab_of(browser, address, color_scheme=scheme) as tab,
        ):
            assert tab.page.evaluate(contrast) == []
            tab.upload(upload_of(file_of(noise(240, 320))))
            tab.number()
            for part in ("count", "correct", "train", "compare"):
                tab.page.click(f"#tab-{part}")
                assert tab.page.evaluate(contrast) == []


def test_without_the_token_it_asks_for_it(browser, tmp_path):
    with opened_page(small_page(tmp_path), token="a-token-of-some-length") as address:
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(address)
        tab.fill("#token", "a-token-of-some-length")
        tab.click("#ask button")
        tab.wait_for_selector("#adapter option", state="attached")
        context.close()
        with tab_of(browser, f"{address}#token=a-token-of-some-length") as own:
            assert own.page.url == address  # it does not stay where others may read it
