from PIL import Image

from sam_mprompt.evaluation.evaluate import evaluate
from sam_mprompt.evaluation.worst import write_worst


def test_pictures_of_the_worst_images_show_actual_and_predicted_side_by_side(street, tmp_path):
    samples, predict = street
    paths = write_worst(tmp_path / "worst", evaluate(predict, samples), predict, 2)
    assert [path.name for path in paths] == [
        "01_0040_actual-200_predicted-150.jpg",
        "02_0041_actual-600_predicted-604.jpg",
    ]
    width, height = Image.open(paths[0]).size
    assert width > 2 * 96
    assert height > 64
