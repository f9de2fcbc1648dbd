import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from sam_mprompt.data.formats.entries import Annotation, Entry, carve, collect
from sam_mprompt.data.formats.public import shanghaitech
from sam_mprompt.data.formats.read import FORMATS, list_splits, read_split, recognise
from sam_mprompt.data.formats.tools.families import FAMILIES
from sam_mprompt.errors import UsageError

HEADS = [[3.5, 4.0], [10.0, 2.0]]
SPLITS = ("train", "val", "test")


def picture(path: Path, size: tuple[int, int] = (20, 16), **options: object) -> Path:
    """Write an image of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "gray").save(path, **options)
    return path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mat(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content)


def shanghaitech_truth(path: Path, points: object) -> None:
    location = np.empty((1, 1), dtype=[("location", "O"), ("number", "O")])
    location[0, 0] = (np.asarray(points, float).reshape(-1, 2), len(points))
    info = np.empty((1, 1), dtype=object)
    info[0, 0] = location
    mat(path, image_info=info)


def make_shanghaitech(root: Path, train: int = 10, test: int = 3, truth: str = "ground-truth") -> Path:
    for folder, number in (("train_data", train), ("test_data", test)):
        for index in range(1, number + 1):
            picture(root / folder / "images" / f"IMG_{index}.jpg")
            shanghaitech_truth(root / folder / truth / f"GT_IMG_{index}.mat", HEADS)
    return root


def make_qnrf(root: Path, train: int = 10, test: int = 3) -> Path:
    for folder, number in (("Train", train), ("Test", test)):
        for index in range(1, number + 1):
            picture(root / folder / f"img_{index:04}.jpg")
            mat(root / folder / f"img_{index:04}_ann.mat", annPoints=np.array(HEADS))
    return root


def make_nwpu(root: Path) -> Path:
    for name in ("0001", "0002", "0005", "3110", "4000"):
        picture(root / "images" / f"{name}.jpg")
        content = {"img_id": f"{name}.jpg", "human_num": 2, "points": HEADS, "boxes": [[1, 2, 6, 6], [8, 0, 12, 4]]}
        if name != "4000":
            written(root / "jsons" / f"{name}.json", json.dumps(content))
    written(root / "jsons" / "0005.json", json.dumps({"human_num": 0, "points": [], "boxes": []}))
    written(root / "train.txt", "0001 0 3\n0005 2 0\n")
    written(root / "val.txt", "0002 1 4\n3110 0 1\n")
    written(root / "test.txt", "4000\n")
    return root


def make_jhu(root: Path) -> Path:
    for split, names in (("train", ("0001", "0002")), ("val", ("0003",)), ("test", ("0004",))):
        for name in names:
            picture(root / split / "images" / f"{name}.jpg")
            written(root / split / "gt" / f"{name}.txt", "3 4 4 6 1 0\n10 2 2 2 2 1\n")
        labels = "".join(f"{name},2,railway station,3,1\n" for name in names)
        written(root / split / "image_labels.txt", labels)
    written(root / "train" / "gt" / "0002.txt", "")
    return root


def make_ucf50(root: Path, numbers: range = range(1, 51)) -> Path:
    for number in numbers:
        picture(root / f"{number}.jpg")
        mat(root / f"{number}_ann.mat", annPoints=np.array(HEADS))
    return root


def make_points(root: Path) -> Path:
    for index in range(10):
        picture(root / f"cam{index}.jpg")
        written(root / f"cam{index}.txt", "3.5 4\n10 2\n")
    return root


MAKERS = {
    "shanghaitech": make_shanghaitech,
    "qnrf": make_qnrf,
    "nwpu": make_nwpu,
    "jhu": make_jhu,
    "ucf50": make_ucf50,
    "points": make_points,
}


def names(root: Path, split: str, **options: object) -> list[str]:
    return [sample.image.stem for sample in read_split(root, split, **options).samples]


def test_every_format_has_a_reader_and_a_test_fixture():
    assert set(FORMATS) == {*MAKERS, *FAMILIES}


@pytest.mark.parametrize("name", MAKERS)
def test_the_format_is_recognised_from_the_folder(tmp_path, name):
    root = MAKERS[name](tmp_path / "data")
    assert recognise(root) == name
    assert read_split(root, "train").format == name


@pytest.mark.parametrize("name", MAKERS)
def test_points_are_float32_pixels_inside_the_image_of_the_header(tmp_path, name):
    sample = read_split(MAKERS[name](tmp_path / "data"), "train").samples[0]
    assert sample.size == (16, 20)
    assert sample.points.dtype == np.float32
    assert sample.count == 2
    assert np.abs(sample.points - HEADS).max() <= 0.5


@pytest.mark.parametrize("name", MAKERS)
def test_splits_are_disjoint_and_the_same_at_every_reading(tmp_path, name):
    root = MAKERS[name](tmp_path / "data")
    kinds = [split for split in SPLITS if not (name == "points" and split == "test")]
    first = {split: [s.image for s in read_split(root, split).samples] for split in kinds}
    again = {split: [s.image for s in read_split(root, split).samples] for split in kinds}
    assert first == again
    everything = [image for images in first.values() for image in images]
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("truth", ["ground-truth", "ground_truth"])
def test_shanghaitech_is_read_with_either_spelling_of_the_truth_folder(tmp_path, truth):
    root = make_shanghaitech(tmp_path / "part_A_final", truth=truth)
    assert names(root, "test") == ["IMG_1", "IMG_2", "IMG_3"]
    np.testing.assert_array_equal(read_split(root, "test").samples[0].points, np.array(HEADS, np.float32))


def test_the_six_test_images_that_train_has_too_are_marked_in_the_official_part_a_alone(tmp_path):
    official, smaller = tmp_path / "part_A", tmp_path / "other"
    for root, train in ((official, 300), (smaller, 299)):
        for folder, count in (("train_data", train), ("test_data", 182)):
            (root / folder / "images").mkdir(parents=True)
            for index in range(1, count + 1):
                (root / folder / "images" / f"IMG_{index}.jpg").touch()
    marked = [entry for entry in shanghaitech(official)["test"] if entry.attributes["in_train"] == "yes"]
    assert sorted(int(entry.image.stem.removeprefix("IMG_")) for entry in marked) == [40, 82, 98, 142, 173, 181]
    assert {entry.attributes["in_train"] for entry in shanghaitech(official)["test"]} == {"yes", "no"}
    assert not any(entry.attributes for entry in shanghaitech(smaller)["test"])


def test_a_shanghaitech_image_with_nobody_has_an_empty_array(tmp_path):
    root = make_shanghaitech(tmp_path)
    shanghaitech_truth(root / "test_data" / "ground-truth" / "GT_IMG_2.mat", [])
    assert read_split(root, "test").samples[1].points.shape == (0, 2)


def test_val_is_carved_from_train_without_any_image_lost_or_shared(tmp_path):
    root = make_shanghaitech(tmp_path, train=20)
    train, val = read_split(root, "train", val_fraction=0.2), read_split(root, "val", val_fraction=0.2)
    assert (len(train.samples), len(val.samples)) == (16, 4)
    assert not {s.image for s in train.samples} & {s.image for s in val.samples}
    assert train.carved
    assert val.carved
    assert not read_split(root, "test").carved


def test_the_seed_decides_which_images_are_carved(tmp_path):
    root = make_shanghaitech(tmp_path, train=20)
    assert names(root, "val", seed=1) == names(root, "val", seed=1)
    assert len({tuple(names(root, "val", val_fraction=0.2, seed=seed)) for seed in range(5)}) > 1


def test_a_dataset_with_its_own_val_split_is_not_carved(tmp_path):
    nwpu = read_split(make_nwpu(tmp_path / "nwpu"), "val", val_fraction=0.5)
    assert [s.image.stem for s in nwpu.samples] == ["0002", "3110"]
    assert not nwpu.carved


def test_a_val_fraction_of_zero_leaves_val_empty_and_train_whole(tmp_path):
    root = make_qnrf(tmp_path)
    assert names(root, "val", val_fraction=0) == []
    assert len(names(root, "train", val_fraction=0)) == 10


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_val_fraction_that_is_no_share_is_refused(tmp_path, fraction):
    with pytest.raises(UsageError, match="val_fraction of at least 0 and below 1"):
        read_split(make_qnrf(tmp_path), "val", val_fraction=fraction)


@given(
    stems=st.lists(st.text("abc123", min_size=1, max_size=5), min_size=2, max_size=30, unique=True),
    fraction=st.floats(0.01, 0.9),
    seed=st.integers(0, 5),
    data=st.data(),
)
@settings(deadline=None)
def test_carving_depends_on_names_and_seed_but_not_on_order_or_place(stems, fraction, seed, data):
    def annotation() -> Annotation:
        return Annotation(np.empty((0, 2)))

    here = [Entry(Path("here") / f"{stem}.jpg", annotation) for stem in stems]
    there = [Entry(Path("there") / f"{stem}.png", annotation) for stem in data.draw(st.permutations(stems))]
    train, val = carve(here, fraction=fraction, seed=seed)
    _, other = carve(there, fraction=fraction, seed=seed)
    assert {e.image.stem for e in val} == {e.image.stem for e in other}
    assert len(val) == max(1, round(fraction * len(stems)))
    assert sorted(e.image for e in [*train, *val]) == sorted(e.image for e in here)


def test_unannotated_images_are_never_carved_into_val(tmp_path):
    entries = [Entry(Path(f"{i}.jpg"), None) for i in range(50)]
    entries += [Entry(Path(f"a{i}.jpg"), lambda: Annotation(np.empty((0, 2)))) for i in range(4)]
    _, val = carve(entries, fraction=0.5, seed=0)
    assert len(val) == 2
    assert all(entry.annotation for entry in val)


def test_qnrf_points_outside_are_dropped_and_counted_by_file(tmp_path):
    root = make_qnrf(tmp_path)
    border = [[0, 0], [19.99, 15.99], [20, 5], [5, 16], [-1, 5], [5, -0.01], [np.nan, 5], [np.inf, 1]]
    mat(root / "Test" / "img_0002_ann.mat", annPoints=np.array(border))
    split = read_split(root, "test")
    assert split.samples[1].count == 2
    assert split.problems.points_outside == {root / "Test" / "img_0002.jpg": 6}
    assert split.problems.lines() == ["points outside their image, dropped: 6 (img_0002.jpg)"]
    assert split.problems


@given(
    points=st.lists(st.tuples(*[st.floats(-5, 25, allow_subnormal=True)] * 2), max_size=20),
    width=st.integers(1, 20),
    height=st.integers(1, 20),
)
@settings(max_examples=40, deadline=None)
def test_kept_points_lie_inside_also_after_rounding_to_float32(tmp_path_factory, points, width, height):
    folder = tmp_path_factory.mktemp("round")
    near = [*points, (np.nextafter(float(width), 0), 0.0), (0.0, np.nextafter(float(height), 0))]
    near = list(dict.fromkeys(near))  # repeats are counted once
    entry = Entry(picture(folder / "a.png", (width, height)), lambda: Annotation(np.array(near)))
    (sample,), problems = collect([entry])
    expected = sum(0 <= x < width and 0 <= y < height for x, y in near)
    assert sample.count == expected
    assert (sample.points >= 0).all()
    assert (sample.points < (width, height)).all()
    assert sum(problems.points_outside.values()) == len(near) - expected


def test_boxes_are_clipped_to_the_frame_and_degenerate_ones_counted(tmp_path):
    boxes = np.array(
        [[-4, -4, 5, 5], [18, 3, 40, 9], [30, 3, 40, 9], [6, 6, 6, 9], [6, 6, 9, 6], [8, 8, 7, 9], [np.nan, 1, 2, 3]]
    )
    entry = Entry(picture(tmp_path / "a.png"), lambda: Annotation(np.empty((0, 2)), boxes))
    (sample,), problems = collect([entry])
    np.testing.assert_array_equal(sample.boxes, np.array([[0, 0, 5, 5], [18, 3, 20, 9]], np.float32))
    assert problems.boxes_degenerate == {entry.image: 5}


def test_nwpu_gives_boxes_levels_empty_scenes_and_a_hidden_test_split(tmp_path):
    root = make_nwpu(tmp_path)
    full, empty = read_split(root, "train").samples
    assert full.attributes == {"luminance": 0, "level": 3}
    np.testing.assert_array_equal(full.boxes, np.array([[1, 2, 6, 6], [8, 0, 12, 4]], np.float32))
    assert (empty.points.shape, empty.boxes.shape) == ((0, 2), (0, 4))
    test = read_split(root, "test")
    assert test.samples[0].points is None
    assert test.samples[0].count == 0
    assert not test.problems


def test_nwpu_images_may_lie_in_their_five_parts(tmp_path):
    root = make_nwpu(tmp_path)
    (root / "images_part1").mkdir()
    (root / "images").rename(root / "images_part5")
    (root / "images_part5" / "0001.jpg").rename(root / "images_part1" / "0001.jpg")
    assert recognise(root) == "nwpu"
    assert names(root, "train") == ["0001", "0005"]
    assert names(root, "val") == ["0002", "3110"]


def test_jhus_stated_counts_are_compared_with_the_number_of_points(tmp_path):
    root = make_jhu(tmp_path)
    split = read_split(root, "train")
    assert split.problems.miscounted == {root / "train/images/0002.jpg": "it states 2 and holds 0"}
    assert not split.problems.serious
    assert not read_split(root, "val").problems.miscounted


def test_jhu_boxes_are_centred_on_the_heads_and_labels_become_attributes(tmp_path):
    root = make_jhu(tmp_path)
    full, empty = read_split(root, "train").samples
    np.testing.assert_array_equal(full.boxes, np.array([[1, 1, 5, 7], [9, 1, 11, 3]], np.float32))
    assert full.attributes == {"scene": "railway station", "weather": 3, "distractor": 1}
    assert empty.points.shape == (0, 2)
    assert names(root, "test") == ["0004"]


@pytest.mark.parametrize("fold", range(1, 6))
def test_each_ucf50_fold_tests_on_its_ten_images(tmp_path, fold):
    root = make_ucf50(tmp_path)
    expected = [str(number) for number in range(10 * fold - 9, 10 * fold + 1)]
    assert names(root, "test", fold=fold) == expected
    rest = names(root, "train", fold=fold) + names(root, "val", fold=fold)
    assert sorted(rest + expected, key=int) == [str(number) for number in range(1, 51)]


def test_a_fold_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a fold of 1 to 5 for format 'ucf50'; received 6"):
        read_split(make_ucf50(tmp_path / "a", range(1, 3)), "test", fold=6)
    with pytest.raises(UsageError, match="no fold but 1 for format 'qnrf'; received 2"):
        read_split(make_qnrf(tmp_path / "b"), "test", fold=2)


def test_what_is_missing_or_unreadable_is_left_out_and_listed(tmp_path):
    root = make_shanghaitech(tmp_path, test=5)
    folder = root / "test_data"
    (folder / "ground-truth" / "GT_IMG_1.mat").unlink()
    (folder / "images" / "IMG_2.jpg").unlink()
    (folder / "images" / "IMG_3.jpg").write_bytes(b"nothing")
    split = read_split(root, "test")
    assert [s.image.stem for s in split.samples] == ["IMG_4", "IMG_5"]
    assert split.problems.missing_annotations == [folder / "images" / "IMG_1.jpg"]
    assert split.problems.missing_images == [folder / "images" / "IMG_2.jpg"]
    assert list(split.problems.unreadable) == [folder / "images" / "IMG_3.jpg"]
    assert len(split.problems.lines()) == 3
    assert json.loads(json.dumps(split.problems.as_dict()))["missing_images"] == [str(folder / "images" / "IMG_2.jpg")]


def test_an_image_listed_twice_is_read_once_and_reported(tmp_path):
    root = make_nwpu(tmp_path)
    written(root / "val.txt", "0002 1 4\n3110 0 1\n0002 1 4\n")
    split = read_split(root, "val")
    assert len(split.samples) == 2
    assert split.problems.duplicates == [root / "images" / "0002.jpg"]


def test_an_image_in_two_splits_is_refused(tmp_path):
    root = make_nwpu(tmp_path)
    written(root / "val.txt", "0001 1 4\n")
    with pytest.raises(UsageError, match=r"'0001\.jpg' is in the train and the val split"):
        read_split(root, "train")


def test_an_exif_turned_image_is_reported_and_its_frame_is_the_displayed_one(tmp_path):
    root = make_points(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(root / "cam3.jpg", exif=exif)
    split = read_split(root, "train", val_fraction=0)
    assert split.samples[3].size == (20, 16)
    assert split.problems.turned == [root / "cam3.jpg"]
    assert not split.problems


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("nwpu", "jsons/0001.json", "{\n oops", r"0001\.json' is not valid JSON: line 2"),
        ("nwpu", "jsons/0001.json", "[]", r"0001\.json': expected an object with 'points'"),
        ("nwpu", "jsons/0001.json", '{"points": [[1, 2], [3]]}', r"0001\.json' points: .*\[3\] as row 1"),
        ("nwpu", "jsons/0001.json", '{"points": [[1, null]]}', r"points: .*\[1, None\] as row 0"),
        ("nwpu", "jsons/0001.json", '{"points": [], "boxes": [[1, 2, 3]]}', r"boxes: expected rows of 4 numbers"),
        ("nwpu", "train.txt", "0001 0\n", r"train\.txt' line 1: expected 'id luminance level'"),
        ("nwpu", "train.txt", "\n0001 bright 3\n", r"train\.txt' line 2: .*received '0001 bright 3'"),
        ("jhu", "train/gt/0001.txt", "1 2 3 4 5 6\n1 2 3\n", r"0001\.txt' line 2: expected 6 numbers"),
        ("jhu", "train/gt/0001.txt", "1 2 x 4 5 6\n", r"0001\.txt' line 1: .*received '1 2 x 4 5 6'"),
        ("jhu", "train/image_labels.txt", "0001,2,street\n", r"image_labels\.txt' line 1: expected 'id,count,scene"),
        ("qnrf", "Test/img_0001_ann.mat", "no mat", r"img_0001_ann\.mat': truncated or not a MATLAB file"),
        ("shanghaitech", "test_data/ground-truth/GT_IMG_1.mat", "", r"GT_IMG_1\.mat': truncated or not a MATLAB"),
    ],
)
def test_a_malformed_annotation_is_refused_by_file_and_place(tmp_path, name, file, text, message):
    root = MAKERS[name](tmp_path / "data")
    written(root / file, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_split(root, "train" if name in {"nwpu", "jhu"} else "test")
    assert "\n" not in str(caught.value)


def test_a_mat_file_of_another_kind_is_refused_by_field(tmp_path):
    root = make_qnrf(tmp_path / "a")
    mat(root / "Test" / "img_0001_ann.mat", other=np.array(HEADS))
    with pytest.raises(UsageError, match="has no variable 'annPoints'"):
        read_split(root, "test")
    mat(root / "Test" / "img_0001_ann.mat", annPoints=np.ones((2, 3)))
    with pytest.raises(UsageError, match=r"annPoints: expected rows of 2 numbers \(x y\); .*shape \(2, 3\)"):
        read_split(root, "test")
    root = make_shanghaitech(tmp_path / "b")
    mat(root / "test_data" / "ground-truth" / "GT_IMG_1.mat", image_info=np.ones((2, 2)))
    with pytest.raises(UsageError, match="no points at image_info"):
        read_split(root, "test")


def test_several_malformed_annotations_are_counted_in_the_message(tmp_path):
    root = make_qnrf(tmp_path)
    for index in (1, 2, 3):
        written(root / "Test" / f"img_000{index}_ann.mat", "")
    with pytest.raises(UsageError, match=r"img_0001_ann.*2 more are like it"):
        read_split(root, "test")


@pytest.mark.parametrize(
    ("given_folder", "right"),
    [("", "part_A' (shanghaitech) or"), ("part_A/train_data", "part_A'"), ("part_B/train_data/images", "part_B'")],
)
def test_a_folder_one_or_two_levels_off_is_answered_with_the_right_one(tmp_path, given_folder, right):
    for part in ("part_A", "part_B"):
        make_shanghaitech(tmp_path / "shanghaitech" / part, train=1, test=1)
    with pytest.raises(UsageError) as caught:
        recognise(tmp_path / "shanghaitech" / given_folder)
    assert "Did you mean" in str(caught.value)
    assert right in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_layout_is_answered_with_what_was_looked_for_per_format(tmp_path):
    picture(tmp_path / "lonely.jpg")
    with pytest.raises(UsageError) as caught:
        recognise(tmp_path)
    assert all(name in str(caught.value) for name in FORMATS)


def test_a_missing_folder_and_a_file_are_refused_with_the_nearest_name(tmp_path):
    make_qnrf(tmp_path / "qnrf")
    with pytest.raises(UsageError, match=r"found nothing\. Did you mean 'qnrf'\?"):
        read_split(tmp_path / "qnrff", "train")
    with pytest.raises(UsageError, match="found a file"):
        read_split(picture(tmp_path / "a.jpg"), "train", format="qnrf")


def test_a_wrong_format_name_or_layout_is_refused_with_the_right_one(tmp_path):
    root = make_qnrf(tmp_path / "qnrf")
    with pytest.raises(UsageError, match=r"Unknown format 'qnfr'.*Did you mean 'qnrf'"):
        read_split(root, "train", format="qnfr")
    with pytest.raises(UsageError, match=r"not of format 'nwpu': expected images/.*looks like format 'qnrf'"):
        read_split(root, "train", format="nwpu")
    with pytest.raises(UsageError, match=r"not of format 'qnrf'.*Did you mean .*qnrf' \(qnrf\)"):
        read_split(tmp_path, "train", format="qnrf")
    with pytest.raises(UsageError, match="Expected a split of train, val or test; received 'tests'"):
        read_split(root, "tests")


def test_a_split_without_any_usable_image_says_why(tmp_path):
    root = make_qnrf(tmp_path, test=2)
    for file in (root / "Test").glob("*.mat"):
        file.unlink()
    with pytest.raises(
        UsageError, match=r"No usable image in the test split .*images without annotation, left out: 2 "
    ):
        read_split(root, "test")


def test_listing_splits_opens_no_image(tmp_path, monkeypatch):
    root = make_nwpu(tmp_path)

    def opened(*arguments: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr("PIL.Image.open", opened)
    format, splits, carved = list_splits(root)
    assert (format, list(splits), carved) == ("nwpu", ["train", "val", "test"], False)


def test_reading_a_split_decodes_no_pixels(tmp_path, monkeypatch):
    root = make_shanghaitech(tmp_path)

    def decode(self: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert len(read_split(root, "test").samples) == 3


@pytest.mark.parametrize(
    ("folder", "train_and_val", "test"),
    [("shanghaitech/part_A", 240, 60), ("shanghaitech/part_B", 320, 80), ("qnrf-layout", 16, 4), ("jhu-layout", 16, 4)],
)
def test_real_splits_have_their_official_sizes(real_data, folder, train_and_val, test):
    root = real_data / folder
    assert len(names(root, "train")) + len(names(root, "val")) == train_and_val
    assert len(names(root, "test")) == test


def test_real_nwpu_layout_has_boxes_levels_and_a_hidden_test(real_data):
    root = real_data / "nwpu-layout"
    train, val, test = (read_split(root, split).samples for split in SPLITS)
    assert (len(train), len(val), len(test)) == (41, 8, 4)
    assert all(sample.points is None for sample in test)
    assert sum(sample.count == 0 for sample in train) == 1
    edges = [0, 1, 101, 501, 5001]
    assert all(np.searchsorted(edges, s.count, "right") - 1 == s.attributes["level"] for s in train)


def test_real_points_are_as_many_as_the_files_say(real_data):
    split = read_split(real_data / "shanghaitech" / "part_B", "test")
    counts = [sample.count for sample in split.samples]
    assert (len(counts), sum(counts)) == (80, 9846)
    assert not split.problems
