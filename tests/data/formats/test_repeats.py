import numpy as np
import pytest
from crowd_files import HEADS, coco, folder_of, points, shape, train

from sam_mprompt.data.formats.annotation import Annotation
from sam_mprompt.data.formats.entries import collect
from sam_mprompt.data.formats.problems import Problems
from sam_mprompt.data.formats.read import list_splits
from sam_mprompt.data.formats.repeats import note_copies, without_repeats
from sam_mprompt.errors import UsageError

ROWS = "".join(f"a.jpg,{x},{y}\n" for x, y in HEADS)
LINES = "".join(f"{x} {y}\n" for x, y in HEADS)
BOXES = [("head", [2.5, 3, 2, 2]), ("head", [9, 1, 2, 2])]
TWICE = {
    "csv": {"annotations.csv": "image,x,y\n" + ROWS + ROWS},
    "txt": {"a.txt": LINES + LINES},
    "json": {"a.json": {"points": HEADS + HEADS}},
    "jsonl": {"annotations.jsonl": f'{{"image": "a", "points": {HEADS}}}\n' * 2},
    "labelme": {"a.json": {"shapes": [shape("head", place) for place in HEADS + HEADS]}},
    "coco": {"annotations.json": coco(BOXES + BOXES)},
}


@pytest.mark.parametrize("form", TWICE)
def test_heads_annotated_twice_are_counted_once_and_told_in_every_format(tmp_path, form):
    split = train(folder_of(tmp_path, TWICE[form]))
    assert split.samples[0].points.tolist() == HEADS
    assert split.problems.repeats == {tmp_path / "a.jpg": 2}
    assert split.problems.serious
    assert "heads annotated again at the same place, counted once: 2 (a.jpg)" in split.problems.lines()


def test_an_image_annotated_under_two_ids_is_left_out_with_the_reason(tmp_path):
    content = coco(BOXES)
    content["images"].append({"id": 3, "file_name": "a.jpg"})
    content["annotations"].append({"id": 9, "image_id": 3, "category_id": 0, "bbox": [20, 20, 2, 2]})
    folder_of(tmp_path, {"annotations.json": content})
    with pytest.raises(UsageError, match=r"annotates 'a\.jpg' under two ids, 1 and 3: keep one"):
        train(tmp_path)
    content["annotations"].pop()
    folder_of(tmp_path, {"annotations.json": content}, [])
    assert points(tmp_path)["a.jpg"] == HEADS


def test_one_id_for_two_images_is_refused(tmp_path):
    content = coco(BOXES)
    content["images"][1]["id"] = 1
    with pytest.raises(UsageError, match=r"images\[1\]: its id 1 is that of another image"):
        train(folder_of(tmp_path, {"annotations.json": content}))


def test_two_boxes_around_one_centre_are_two_heads():
    centre = np.array([[5.0, 5.0], [5.0, 5.0]])
    boxes = np.array([[4.0, 4, 6, 6], [3, 3, 7, 7]])
    assert without_repeats(Annotation(centre, boxes))[1] == 0
    kept, repeats = without_repeats(Annotation(centre, boxes[[0, 0]]))
    assert (len(kept.points), len(kept.boxes), repeats) == (1, 1, 1)


def test_what_an_official_benchmark_repeats_is_kept_and_told(tmp_path):
    folder_of(
        tmp_path, {f"{s}/gt/{s}1.txt": "3 4 2 2 1 0\n" * 2 for s in ("train", "test")}, ["train/images/train1.jpg"]
    )
    _, splits, _ = list_splits(tmp_path, val_fraction=0)
    (sample,), problems = collect(splits["train"])
    assert sample.count == 2
    assert problems.official_repeats == {sample.image: 1}
    assert not problems


def test_the_same_picture_in_two_splits_is_told_by_its_bytes(tmp_path):
    folder_of(tmp_path / "train", {"a.txt": "1 1", "b.txt": "1 1"})
    folder_of(tmp_path / "valid", {"z.txt": "1 1", "b.txt": "1 1"}, ["z.jpg", "b.jpg"])
    (tmp_path / "valid" / "b.jpg").write_bytes((tmp_path / "train" / "b.jpg").read_bytes()[:-1] + b"x")
    _, splits, _ = list_splits(tmp_path, val_fraction=0)
    read = {split: collect(entries) for split, entries in splits.items()}
    assert not any(problems.shared for _, problems in read.values())
    note_copies(images_of(read))
    assert read["train"][1].shared == {}
    assert read["val"][1].shared == {tmp_path / "valid" / "z.jpg": "'z.jpg' is 'a.jpg' of train"}
    assert read["val"][1].copies == {}
    assert read["val"][1].serious


def test_the_same_picture_twice_in_a_split_is_told_and_not_serious(tmp_path):
    folder_of(tmp_path, {"a.txt": "1 1", "b.txt": "1 1"})
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    _, splits, _ = list_splits(tmp_path, val_fraction=0)
    read = {"train": collect(splits["train"])}
    note_copies(images_of(read))
    problems = read["train"][1]
    assert problems.copies == {tmp_path / "b.jpg": "'b.jpg' is 'a.jpg'"}
    assert problems
    assert not problems.serious


def test_a_picture_that_is_not_there_is_passed_over(tmp_path):
    folder_of(tmp_path, {"a.txt": "1 1"}, ["a.jpg"])
    problems = Problems()
    note_copies({"train": ([tmp_path / "a.jpg", tmp_path / "gone.jpg"], problems)})
    assert not problems


def images_of(read):
    return {split: ([sample.image for sample in samples], problems) for split, (samples, problems) in read.items()}


def test_files_of_different_sizes_are_not_hashed(tmp_path):
    folder_of(tmp_path, {"a.txt": "1 1", "b.txt": "1 1"})
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + b"more")
    _, splits, _ = list_splits(tmp_path, val_fraction=0)
    read = {"train": collect(splits["train"])}

    def hashed(path: object) -> str:
        raise AssertionError("hashed")

    note_copies(images_of(read), hashed)
    assert read["train"][1].copies == {}
