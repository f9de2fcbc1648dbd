"""The end of a job: each image once, or a line that says what is wrong."""

import pytest
from small_job import SCHEMA, Lengths, job_at

from sam_mprompt.distributed.job import IMAGE, QUARANTINED
from sam_mprompt.distributed.outcome import concluded
from sam_mprompt.distributed.part import do_part
from sam_mprompt.errors import RunError


def done(tmp_path):
    job = job_at(tmp_path)
    for number in job.parts:
        do_part(job, number, Lengths())
    return job


def test_a_job_of_one_row_per_image_is_told_as_such(tmp_path):
    outcome = concluded(done(tmp_path))
    assert (outcome.images, outcome.quarantined, outcome.list) == (7, 0, None)
    assert outcome.rows == str(tmp_path / "rows")


def test_quarantined_images_are_listed_with_their_reasons(tmp_path):
    job = done(tmp_path)
    job.write_rows(2, [{IMAGE: "g.png", QUARANTINED: "no image"}], SCHEMA)
    outcome = concluded(job)
    assert (outcome.images, outcome.quarantined, outcome.first) == (7, 1, (("g.png", "no image"),))
    assert (tmp_path / "quarantined.csv").read_text() == "image,quarantined\ng.png,no image\n"


@pytest.mark.parametrize(
    "rows", [["d.png", "e.png"], ["d.png", "e.png", "e.png"], ["d.png", "e.png", "f.png", "f.png"]]
)
def test_an_image_that_is_missing_or_twice_is_noticed(tmp_path, rows):
    job = done(tmp_path)
    job.write_rows(1, [{IMAGE: image} for image in rows], SCHEMA)
    with pytest.raises(RunError, match=r"part 1 .* are not one for each of its images"):
        concluded(job)


def test_a_part_without_rows_is_noticed(tmp_path):
    job = done(tmp_path)
    next((tmp_path / "rows").glob("00000001-*")).unlink()
    with pytest.raises(RunError, match="missing"):
        concluded(job)
