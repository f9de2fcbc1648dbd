from benchmarks.speed.loading import against_whole_images
from sam_mprompt.data.scenes.crowd import write_dataset


def test_a_recipe_without_its_own_photographs_is_measured_on_others(tmp_path):
    write_dataset(tmp_path / "part_A", seed=0, splits={"train": 2, "val": 1}, size=(448, 448))
    settings = ["data.format=points", "data.scale=1.0"]
    row = against_whole_images("shb-tiny-prompt", settings, tmp_path / "part_A", rounds=1)
    assert row.what == "training batches, part_A at 1 of its resolution"
    assert "images/s" in row.note
