"""A part: every image gets one row, and what ends the process over and over is set aside."""

import pytest
from small_job import Lengths, job_at

from sam_mprompt.distributed.attempts import MOST, Attempts, forgive, learnt
from sam_mprompt.distributed.job import ATTEMPTS, IMAGE
from sam_mprompt.distributed.part import do_part
from sam_mprompt.errors import RunError


def attempted(job, work, times):
    """Do the first part until it is done; each attempt is a new process's."""
    for number in range(times):
        try:
            return do_part(job, 0, work), number + 1
        except RuntimeError:
            continue
    raise AssertionError("the part was never done")


def test_the_rows_are_in_the_order_of_the_list_and_no_notes_are_left(tmp_path):
    class Backwards(Lengths):
        def rows(self, images):
            return super().rows(images[::-1])

    job = job_at(tmp_path)
    assert do_part(job, 0, Backwards()) == (3, 0)
    assert job.rows(0).column(IMAGE).to_pylist() == ["a.png", "b.png", "c.png"]
    assert job.place.names(ATTEMPTS) == set()


def test_a_part_that_is_done_is_not_done_again(tmp_path):
    job, work = job_at(tmp_path), Lengths()
    assert do_part(job, 0, work) == do_part(job, 0, work)
    assert len(work.calls) == 1


def test_an_image_that_ends_every_process_is_quarantined_with_its_reason_and_the_others_have_rows(tmp_path):
    job = job_at(tmp_path)
    done, attempts = attempted(job, Lengths(b=100), 10)
    assert done == (3, 1)
    assert attempts == 1 + MOST + 1  # together; alone until it is enough; then without it
    assert job.rows(0).column("length").to_pylist() == [5, None, 5]
    assert job.rows(0).column("quarantined").to_pylist() == [
        None, f"the process that worked on it ended {MOST} times: RuntimeError: 'b.png' is poison", None
    ]  # fmt: skip


def test_two_such_images_in_a_part_are_both_quarantined(tmp_path):
    job = job_at(tmp_path)
    assert attempted(job, Lengths(a=100, c=100), 20)[0] == (3, 2)


def test_an_image_that_fails_less_often_is_not_quarantined(tmp_path):
    job = job_at(tmp_path)
    assert attempted(job, Lengths(b=MOST), 10)[0] == (3, 0)


def test_what_ended_a_process_before_comes_first_as_nothing_is_lost_then(tmp_path):
    job, work = job_at(tmp_path), Lengths(c=2)
    attempted(job, work, 10)
    assert work.calls == [["a.png", "b.png", "c.png"], ["a.png"], ["b.png"], ["c.png"], ["c.png"], ["a.png"], ["b.png"]]


def test_a_killed_command_blames_no_image_for_it(tmp_path):
    job = job_at(tmp_path)
    noted = Attempts.begin(job, 0)
    for _ in range(MOST + 2):  # the command is killed as often while it works on an image
        noted = Attempts.begin(job, 0)
        noted.try_image("a.png")
        forgive(job)
    assert do_part(job, 0, Lengths()) == (3, 0)
    assert job.place.names(ATTEMPTS) == set()


def test_what_ended_processes_is_still_known_to_the_next_command_and_nothing_is_added(tmp_path):
    job = job_at(tmp_path)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            do_part(job, 0, Lengths(a=1))
    forgive(job)
    assert Attempts.begin(job, 0).ended == {"a.png": 1}  # and not 2: the last one may be the command's fault


def test_notes_that_cannot_be_read_are_begun_anew(tmp_path):
    job = job_at(tmp_path)
    for text in ("", "[]", '{"begun": 3}'):
        job.place.write(f"{ATTEMPTS}/00000000.json", text.encode())
        assert Attempts.begin(job, 0).begun == 1
    assert learnt(job) == 1


def test_a_work_that_forgets_an_image_does_not_finish_its_part(tmp_path):
    class Forgetful(Lengths):
        def rows(self, images):
            return super().rows(images[1:])

    job = job_at(tmp_path)
    with pytest.raises(KeyError):
        do_part(job, 0, Forgetful())
    assert job.unfinished() == [0, 1, 2]


def test_rows_that_cannot_be_written_are_no_fault_of_an_image(tmp_path):
    job, work = job_at(tmp_path), Lengths()
    (tmp_path / "rows").write_text("a file where the folder should be")
    for _ in range(MOST + 3):
        with pytest.raises(RunError, match="Cannot write"):
            do_part(job, 0, work)
    known = learnt(job)
    with pytest.raises(RunError):
        do_part(job, 0, work)
    assert learnt(job) == known
    (tmp_path / "rows").unlink()
    assert do_part(job, 0, work) == (3, 0)
