"""A job's folder: its list, its parts, and what is refused in it."""

import json

import numpy as np
import pyarrow as pa
import pytest
from small_job import NAMES, SCHEMA, Lengths, job_at

from sam_mprompt.distributed.job import IMAGE, Job
from sam_mprompt.distributed.part import do_part
from sam_mprompt.distributed.place import Place
from sam_mprompt.errors import RunError, UsageError


def test_the_list_is_cut_into_parts_that_hold_every_image_once(tmp_path):
    job = job_at(tmp_path / "job")
    assert [len(job.part(number)) for number in job.parts] == [3, 3, 1]
    assert [image for number in job.parts for image in job.part(number).column(IMAGE).to_pylist()] == list(NAMES)


def test_the_same_request_goes_on_with_the_parts_that_are_left_and_with_its_own_list(tmp_path):
    do_part(job_at(tmp_path / "job"), 1, Lengths())
    again = job_at(tmp_path / "job", names=["others.png"])
    assert (again.images, again.unfinished(), again.left()) == (7, [0, 2], 4)


def test_another_request_in_the_folder_is_refused_and_told_apart_in_a_line(tmp_path):
    job_at(tmp_path / "job", adapter="first")
    with pytest.raises(UsageError, match=r'another job: expected adapter "first", got "second"\.$'):
        job_at(tmp_path / "job", adapter="second")
    with pytest.raises(UsageError, match="another job: expected part_size 3, got 4"):
        job_at(tmp_path / "job", adapter="first", part_size=4)


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UsageError, match=r"holds other files \(photo.jpg\)"):
        job_at(tmp_path)


def test_a_folder_whose_first_command_was_killed_before_the_record_is_begun_anew(tmp_path):
    job_at(tmp_path, names=["old.png"])
    (tmp_path / "job.json").unlink()
    assert job_at(tmp_path).images == 7


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"request": {}'])
def test_a_damaged_record_is_refused(tmp_path, text):
    job_at(tmp_path)
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(UsageError, match="damaged"):
        job_at(tmp_path)


def test_a_process_finds_the_job_by_its_address_alone(tmp_path):
    made = job_at(tmp_path, adapter="a")
    found = Job.found(str(tmp_path))
    assert (found.images, found.digest, found.part_size) == (made.images, made.digest, 3)
    with pytest.raises(UsageError, match="holds no job"):
        Job.found(str(tmp_path / "elsewhere"))


def test_rows_of_another_job_are_none_of_this_one(tmp_path):
    do_part(job_at(tmp_path / "earlier"), 0, Lengths())
    job = job_at(tmp_path / "job", adapter="other")
    (tmp_path / "earlier" / "rows").rename(tmp_path / "job" / "rows")  # a process of an earlier job still wrote
    assert job.unfinished() == [0, 1, 2]


def test_rows_that_were_cut_short_are_told_with_what_to_do(tmp_path):
    job = job_at(tmp_path)
    do_part(job, 0, Lengths())
    [file] = (tmp_path / "rows").iterdir()
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(RunError, match="Remove it to do its part again"):
        job.rows(0)


def test_a_job_in_an_object_store_is_the_same(tmp_path):
    job = job_at("memory://bucket/job")
    try:
        do_part(job, 2, Lengths())
        assert job.unfinished() == [0, 1]
        assert job.rows(2).to_pylist() == [{"image": "g.png", "length": 5, "quarantined": None}]
        assert json.loads(job.place.read("job.json"))["images"] == 7
    finally:
        job.place._files.rm("/bucket", recursive=True)


def test_an_address_that_nothing_opens_is_refused():
    with pytest.raises(UsageError, match="Cannot open 'no-such-kind://bucket'"):
        Place("no-such-kind://bucket")


def test_numbers_that_do_not_repeat_take_no_more_than_their_bytes(tmp_path):
    job = job_at(tmp_path, names=["a.png"])
    many = np.random.default_rng(0).random(10_000, np.float32)
    job.write_rows(0, [{IMAGE: "a.png", "x": many}], pa.schema([(IMAGE, pa.string()), ("x", pa.list_(pa.float32()))]))
    [file] = (tmp_path / "rows").iterdir()
    assert file.stat().st_size < 1.05 * many.nbytes
    assert np.array_equal(job.rows(0).column("x").to_pylist()[0], many)


def test_the_schema_keeps_columns_that_no_row_has(tmp_path):
    job = job_at(tmp_path)
    job.write_rows(0, [{IMAGE: "a.png"}], SCHEMA)
    assert job.rows(0).column_names == SCHEMA.names
