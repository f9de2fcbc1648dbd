"""A folder that nothing can be written to: one line says so, and nothing that stands there changes."""

import numpy as np
import pytest
from faults.caches import features
from faults.disks import contents, mounted, read_only
from pooling_backend import noise
from small_service import file_of
from small_training import small_session

from sam_mprompt.data.cache.images import ImageCache
from sam_mprompt.errors import SamMpromptError
from sam_mprompt.files import appending, check_output, locked, recover_within, write_text
from sam_mprompt.geometry import Geometry
from sam_mprompt.masks.make import PointMasks, make_masks
from sam_mprompt.render import save_image
from sam_mprompt.training.run import RunFolder
from sam_mprompt.ui.datasets import Datasets

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path):
    with mounted(tmp_path / "disk") as root:
        yield root


def train(root, _session):
    with RunFolder.claimed("small", root / "run"):
        pass


def rows(root, _session):
    with appending(root / "rows.csv", keep=True) as add:
        add("a,1\n")


def state(_root, session):
    session.save()


def lock(root, _session):
    with locked(root / "saved"):
        pass


WRITERS = {
    "run": train,
    "rows": rows,
    "state": state,
    "lock": lock,
    "text": lambda root, _: write_text(root / "a.txt", "x"),
    "picture": lambda root, _: save_image(root / "a.jpg", noise(20, 30)),
    "photograph": lambda root, _: Datasets(root).save("market", "a.png", file_of(noise(20, 30)), [], (20, 30)),
    "output": lambda root, _: check_output(root / "out" / "a.csv"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_cannot_be_written_is_one_line(disk, write):
    session = small_session(disk / "saved")
    session.save()
    (disk / "rows.csv").write_text("b,2\n")
    before = contents(disk)
    with read_only(disk):
        recover_within(disk)
        with pytest.raises(SamMpromptError, match=r"\A[^\n]*(Read-only file system|may not write)[^\n]*\Z"):
            write(disk, session)
    assert contents(disk) == before


def test_masks_and_caches_that_are_whole_are_read_where_nothing_can_be_written(
    disk, tiny_recipe, crowd_folder, tmp_path
):
    image = crowd_folder / "9.png"
    cache = ImageCache(disk / "images", Geometry(min_side=64))
    whole = np.array(cache.read(image))
    make_masks(PointMasks(5), crowd_folder, disk / "masks")
    fill = features(tiny_recipe, crowd_folder)
    fill(disk)
    before = contents(disk)
    with read_only(disk):
        assert np.array_equal(cache.read(image), whole)
        made = fill(disk)
        assert made.read(0).shape[0] == 2
        with pytest.raises(SamMpromptError, match="Read-only file system"):
            cache.read(crowd_folder / "2.png")
    assert contents(disk) == before
