import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sam_mprompt.cli.data_report import print_report
from sam_mprompt.data.check import check


def picture(path: Path) -> None:
    """Write an incompressible image, so that cutting the file cuts pixels off."""
    Image.fromarray(np.random.default_rng(sum(map(ord, path.name))).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(
        path
    )


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Ten images of 0 to 9 heads with a test list of three."""
    root = tmp_path / "crowd"
    root.mkdir()
    for index in range(10):
        picture(root / f"cam{index}.png")
        (root / f"cam{index}.txt").write_text("".join(f"{3 * head} {head}\n" for head in range(index)))
    (root / "test.txt").write_text("cam2\ncam5\ncam9\n")
    return root


def printed(root: Path, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_report(check(root), Console(file=stream, width=100))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_printed_report_shows_figures_histogram_and_problems_with_names(crowd):
    for name in ("cam2", "cam5"):
        (crowd / f"{name}.txt").write_text("1 1\n90 1\n")
    (crowd / "cam9.png").write_bytes((crowd / "cam9.png").read_bytes()[:-800])
    text = printed(crowd)
    assert "val (carved from train)" in text
    assert "points outside their image, dropped: 2 (cam2.png, cam5.png)" in text
    assert "unreadable images, left out: 1 (cam9.png)" in text
    assert "█" in text
    assert "No problems" not in text


def test_a_sound_dataset_is_said_to_have_no_problems(crowd):
    assert "No problems found." in printed(crowd)


def test_the_report_prints_on_a_terminal_that_knows_only_ascii(crowd):
    assert "####" in printed(crowd, encoding="ascii")


def test_file_names_with_brackets_are_printed_as_they_are(crowd):
    root = crowd.rename(crowd.with_name("[red]crowd"))
    picture(root / "[blue]x.png")
    text = printed(root)
    assert f"{root} (format points, as txt)\n" in text
    assert "images without annotation, left out: 1 ([blue]x.png)" in text


def test_many_problem_files_are_abridged_when_printed(crowd):
    for index in range(20):
        picture(crowd / f"more{index}.png")
    assert "left out: 20 (more0.png, more1.png, more2.png and 17 more)" in printed(crowd)


def test_unannotated_splits_print_dashes(real_data):
    report = check(real_data / "nwpu-layout")
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=100))
    row = next(line for line in stream.getvalue().splitlines() if "test" in line)
    assert row.split("│")[1:-1][1:] == ["      4 ", "      - ", "   - ", "      - ", "     - "]
