import pytest

from benchmarks.accuracy import thirty
from benchmarks.accuracy.thirty import IMAGES, Record, filling, read_records, summary, thirty_of, write
from benchmarks.pages import PAGES
from sam_mprompt.planning.timing import Timing
from sam_mprompt.recipe.schema import load_recipe


@pytest.fixture
def part(tmp_path):
    """A part of forty training images, without pixels, and a test split."""
    for split, count in (("train_data", 40), ("test_data", 2)):
        for folder in ("images", "ground-truth"):
            (tmp_path / "part_B" / split / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "part_B" / split / "images" / f"IMG_{number}.jpg").touch()
            (tmp_path / "part_B" / split / "ground-truth" / f"GT_IMG_{number}.mat").touch()
    return tmp_path / "part_B"


def test_the_same_thirty_images_are_taken_with_their_annotation_however_often(part, tmp_path):
    own = thirty_of(part, tmp_path / "own")
    names = {path.stem for path in (own / "train_data" / "images").iterdir()}
    assert len(names) == IMAGES
    assert {path.stem for path in (thirty_of(part, own) / "train_data" / "images").iterdir()} == names
    annotated = {path.stem.removeprefix("GT_") for path in (own / "train_data" / "ground-truth").iterdir()}
    assert annotated == names
    assert len(list((own / "test_data" / "images").iterdir())) == 2


def test_the_other_recipe_gets_as_many_epochs_as_fill_the_minutes_and_keeps_its_shares():
    recipe = load_recipe("shb-scratch")
    given = filling(recipe, 30, 0, 20.0, Timing(0.5, 0.1, 10.0))
    longer = load_recipe("shb-scratch", given)
    seconds = longer.train.epochs * 4 * 0.5
    assert 0.8 * 1200 < seconds < 1200
    assert longer.loss.kappa / longer.train.epochs == pytest.approx(recipe.loss.kappa / recipe.train.epochs, abs=0.01)
    assert (longer.model, longer.data) == (recipe.model, recipe.data)


def record(way, seed, mae):
    return Record("cells", way, seed, 20.0, "base", 10, 1.0, mae + 1, mae, mae, 23.7)


def test_the_table_compares_the_means_over_seeds():
    lines = summary([record("shb-scratch", 0, 10.0), record("shb-scratch", 1, 12.0), record("planned", 0, 8.8)])
    scratch, planned = lines.splitlines()[2:]
    assert "| 11.00 (10.00 to 12.00) | +0.0 % |" in scratch
    assert "| 8.80 (8.80 to 8.80) | -20.0 % |" in planned


def test_the_committed_page_is_what_the_records_give(monkeypatch):
    written = []
    monkeypatch.setattr(thirty, "write_page", lambda name, *parts: written.append((name, "\n\n".join(parts) + "\n")))
    write(read_records(thirty.FILE))
    assert written == [("thirty", (PAGES / "thirty.md").read_text(encoding="utf-8"))]
