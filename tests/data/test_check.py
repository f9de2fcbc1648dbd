import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam_mprompt.data.check import check, draw_sample, histogram, write_previews
from sam_mprompt.data.sample import Sample
from sam_mprompt.errors import UsageError


def picture(path: Path, size: tuple[int, int] = (60, 40)) -> Path:
    """Write an incompressible image of (width, height), so that cutting the file cuts pixels off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(sum(map(ord, path.name))).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Ten images of 0 to 9 heads with a test list of three."""
    root = tmp_path / "crowd"
    for index in range(10):
        picture(root / f"cam{index}.png")
        (root / f"cam{index}.txt").write_text("".join(f"{3 * head} {head}\n" for head in range(index)))
    (root / "test.txt").write_text("cam2\ncam5\ncam9\n")
    return root


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-800])


def test_the_report_counts_images_and_heads_of_each_split(crowd):
    report = check(crowd)
    assert report.format == "points"
    assert report.carved
    assert list(report.splits) == ["train", "val", "test"]
    assert sum(len(split.samples) for split in report.splits.values()) == 10
    test = report.splits["test"].as_dict()
    assert (test["images"], test["heads"], test["min"], test["median"], test["max"]) == (3, 16, 2, 5, 9)
    assert report.sound


def test_a_truncated_image_is_found_by_decoding_and_listed(crowd):
    cut(crowd / "cam5.png")
    report = check(crowd)
    assert list(report.splits["test"].problems.unreadable) == [crowd / "cam5.png"]
    assert "truncated" in report.splits["test"].problems.unreadable[crowd / "cam5.png"]
    assert [sample.image.name for sample in report.splits["test"].samples] == ["cam2.png", "cam9.png"]
    assert not report.sound


def test_progress_is_told_after_every_image(crowd):
    told = []
    check(crowd, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 10) for done in range(1, 11)]


def test_malformed_annotations_are_all_listed_instead_of_ending_the_check(crowd):
    (crowd / "cam2.txt").write_text("one two")
    (crowd / "cam9.txt").write_text("1 2 3")
    problems = check(crowd).splits["test"].problems
    assert list(problems.malformed) == [crowd / "cam2.png", crowd / "cam9.png"]
    assert "cam9.txt' line 1" in problems.malformed[crowd / "cam9.png"]


def test_a_split_without_a_single_usable_image_is_reported_and_not_raised(crowd):
    for name in ("cam2", "cam5", "cam9"):
        (crowd / f"{name}.txt").unlink()
    test = check(crowd).splits["test"]
    assert test.as_dict()["heads"] is None
    assert len(test.problems.missing_annotations) == 3


def test_the_report_is_plain_json_with_every_file_of_every_problem(crowd):
    for name in ("cam2", "cam5"):
        (crowd / f"{name}.txt").write_text("1 1\n90 1\n1 90\n")
    plain = json.loads(json.dumps(check(crowd).as_dict()))
    assert plain["sound"] is False
    assert plain["splits"]["test"]["problems"]["points_outside"] == {
        str(crowd / "cam2.png"): 2,
        str(crowd / "cam5.png"): 2,
    }
    assert plain["splits"]["test"]["images"] == 3


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=50))
def test_every_image_falls_into_one_bar_whose_label_holds_its_count(counts):
    rows = histogram(counts)
    assert sum(number for _, number in rows) == len(counts)
    for text, number in rows:
        low, _, high = text.partition("-")
        assert number == sum(int(low) <= count <= int(high or low) for count in counts)
    assert rows[0][1]
    assert rows[-1][1]


def test_bars_span_one_two_five_ten_and_leave_no_gap_between_filled_ones():
    rows = histogram([0, 7, 30, 30, 999])
    assert [text for text, _ in rows] == [
        "0",
        "1",
        "2-4",
        "5-9",
        "10-19",
        "20-49",
        "50-99",
        "100-199",
        "200-499",
        "500-999",
    ]
    assert [number for _, number in rows] == [1, 0, 0, 1, 0, 2, 0, 0, 0, 1]


def test_previews_run_from_the_emptiest_to_the_fullest_image_of_each_split(crowd, tmp_path):
    written = write_previews(check(crowd), tmp_path / "previews", per_split=2)
    assert [path.name for path in written[-2:]] == ["test-1-cam2.jpg", "test-2-cam9.jpg"]
    assert all(Image.open(path).width >= 640 for path in written)
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == sorted(path.name for path in written)


def test_more_previews_than_images_are_one_of_each(crowd, tmp_path):
    written = write_previews(check(crowd), tmp_path / "previews", per_split=50)
    assert len(written) == 10


def test_previews_into_a_file_are_refused(crowd):
    with pytest.raises(UsageError, match="is a file"):
        write_previews(check(crowd), crowd / "cam1.png")


@pytest.mark.parametrize("size", [(20, 30), (2000, 30), (30, 2000), (4000, 3000)])
def test_a_preview_has_a_viewable_size_and_draws_points_and_boxes_in_place(tmp_path, size):
    path = tmp_path / "grey.png"
    Image.new("RGB", size, "gray").save(path)
    width, height = size
    points = np.array([[width * 0.25, height * 0.5]], np.float32)
    boxes = np.array([[width * 0.5, height * 0.25, width * 0.75, height * 0.75]], np.float32)
    bare = draw_sample(Sample(path, (height, width), np.empty((0, 2), np.float32)))
    drawn = draw_sample(Sample(path, (height, width), points, boxes))
    assert 640 <= max(bare.shape[:2]) <= 1800
    strip = bare.shape[0] - max(320, round(height * min(1600 / max(size), max(2, 800 / max(size)))))
    changed = (drawn[strip:].astype(int) != bare[strip:]).any(axis=2)
    rows, columns = np.nonzero(changed)
    scale = min(1600 / max(size), max(2, 800 / max(size)))
    assert changed[round(points[0, 1] * scale), round(points[0, 0] * scale)]
    assert abs(columns.max() - boxes[0, 2] * scale) <= 3
    assert abs(rows.min() - boxes[0, 1] * scale) <= 3 or height < 100


def test_a_preview_of_a_name_in_another_script_is_drawn(tmp_path):
    path = picture(tmp_path / "人群.png")
    assert draw_sample(Sample(path, (40, 60), np.empty((0, 2), np.float32))).dtype == np.uint8


def test_real_part_b_is_sound(real_data, tmp_path):
    report = check(real_data / "shanghaitech" / "part_B")
    assert report.sound
    assert sum(split.as_dict()["images"] for split in report.splits.values()) == 400
    assert len(write_previews(report, tmp_path)) == 12


def test_a_dataset_in_which_nobody_is_annotated_is_not_sound(tmp_path):
    for index in range(4):
        picture(tmp_path / f"cam{index}.png")
        (tmp_path / f"cam{index}.txt").write_text("")
    report = check(tmp_path)
    assert report.faults == ["nobody is annotated in any of its images"]
    assert not report.sound
