"""Masks as a work: what is there is kept, what is missing is made, and a row says that it was done."""

import shutil
from functools import partial

import pytest
from small_job import job_at

from sam_mprompt.distributed.listing import name_of
from sam_mprompt.distributed.masking import Masking
from sam_mprompt.distributed.part import do_part
from sam_mprompt.errors import UsageError
from sam_mprompt.masks.folder import Annotated, MaskFolder
from sam_mprompt.masks.how import HowToMask


def opened(tmp_path, data, names=()):
    """A job of one part over the images of a dataset and others, the folder of their masks, and the work."""
    folder = MaskFolder(tmp_path / "masks", Annotated.read(data))
    images = sorted([*(name_of(sample.image) for sample in folder.images.samples), *names])
    work = Masking(HowToMask("points"), None, partial(Annotated.read, data), folder.out)
    return job_at(tmp_path / "job", images, part_size=len(images)), folder, work


def test_a_part_that_was_given_up_is_done_again_and_makes_only_the_masks_that_it_lacks(crowd_folder, tmp_path):
    job, folder, work = opened(tmp_path, crowd_folder)
    drawn, made = work._source, []

    def until(most, image, sample):
        if len(made) == most:
            raise RuntimeError("the process ends here")
        made.append(sample.image)
        return drawn(image, sample)

    work._source = partial(until, 5)
    with pytest.raises(RuntimeError):
        do_part(job, 0, work)
    assert sum(map(folder.has, folder.images.samples)) == 5
    work._source = partial(until, None)
    assert do_part(job, 0, work) == (11, 0)
    assert sorted(made) == sorted(sample.image for sample in folder.images.samples)


def test_an_image_whose_annotation_has_gone_meanwhile_is_quarantined(crowd_folder, tmp_path):
    job, _, work = opened(tmp_path, crowd_folder, ["gone.png"])
    assert do_part(job, 0, work) == (12, 1)


def test_what_ends_the_command_in_one_process_ends_it_here_too(tmp_path, crowd_folder):
    job, folder, work = opened(tmp_path, shutil.copytree(crowd_folder, tmp_path / "data"))
    folder.images.samples[0].image.write_bytes(b"no picture")
    with pytest.raises(UsageError, match="is not an image"):
        do_part(job, 0, work)
