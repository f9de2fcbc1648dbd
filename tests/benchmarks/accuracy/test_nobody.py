import json

import numpy as np
from PIL import Image

from benchmarks.accuracy.nobody import crowd_free


def test_a_crop_lies_the_farthest_from_all_heads_and_none_is_taken_where_heads_are_everywhere(tmp_path):
    ramp = np.zeros((320, 640, 3), np.uint8)
    ramp[..., 0] = np.arange(640) // 4
    for name, points in (("left", [[20.0, 20.0]]), ("everywhere", [[x, 160.0] for x in range(10, 640, 100)])):
        Image.fromarray(ramp).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.json").write_text(json.dumps({"points": points}))
    [crop] = crowd_free(tmp_path)
    assert crop.shape == (256, 256, 3)
    assert crop[0, 0, 0] == 384 // 4
