import pytest
from crowd_files import folder_of, points, train

BODY = ["nose", "left_eye", "right_eye", "left_shoulder", "left_ankle"]
CATEGORY = {"id": 1, "name": "person", "keypoints": BODY, "skeleton": [[1, 2]]}


def people(*joints: dict[str, list[float]], category: object = CATEGORY) -> dict[str, object]:
    """A COCO file of a.jpg with a person of each of the labelled joints."""
    annotations = []
    for number, labelled in enumerate(joints):
        flat = [value for name in BODY for value in ([*labelled[name], 2] if name in labelled else [0, 0, 0])]
        annotations.append({"id": number, "image_id": 1, "category_id": 1, "keypoints": flat, "bbox": [10, 10, 8, 12]})
    return {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations, "categories": [category]}


def test_the_first_labelled_key_point_of_the_head_is_the_head(tmp_path):
    content = people({"left_ankle": [1, 29], "right_eye": [5, 6]}, {"nose": [3, 4], "left_eye": [2, 3]})
    root = folder_of(tmp_path, {"person_keypoints.json": content}, ("a.jpg",))
    assert points(root) == {"a.jpg": [[5, 6], [3, 4]]}
    assert not train(root).problems.readings


def test_a_body_without_a_head_is_placed_at_its_first_joint_and_told(tmp_path):
    content = people({"left_ankle": [1, 29]}, {"left_ankle": [9, 9], "left_shoulder": [7, 8]}, {})
    root = folder_of(tmp_path, {"person_keypoints.json": content}, ("a.jpg",))
    assert points(root) == {"a.jpg": [[1, 29], [7, 8], [14, 16]]}
    told = "heads without a key point, placed at another of the body: left_ankle (1), left_shoulder (1)"
    split = train(root)
    assert split.problems.readings == {root / "a.jpg": told}
    assert not split.problems.serious


@pytest.mark.parametrize("names", [["top", "bottom", "x", "y", "z"], None])
def test_without_names_of_a_head_the_first_labelled_key_point_is_meant(tmp_path, names):
    content = people({"left_eye": [5, 6], "left_ankle": [1, 1]}, category={"id": 1, "name": "head", "keypoints": names})
    root = folder_of(tmp_path, {"annotations.json": content}, ("a.jpg",))
    assert points(root) == {"a.jpg": [[5, 6]]}
    assert not train(root).problems.readings
