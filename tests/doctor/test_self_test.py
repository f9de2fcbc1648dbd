"""The self-tests pass here, fail where the main job fails, and say where."""

import getpass

import pytest
from pooling_backend import known_density

from sam_mprompt.cli.advice import advised
from sam_mprompt.doctor import self_test
from sam_mprompt.doctor.self_test import (
    POOLED,
    TESTS,
    NotHereError,
    SelfTests,
    count_with_a_file,
    gradient,
    keep_files,
    performed,
    problems,
    self_tests,
)
from sam_mprompt.doctor.software import LITE, WHOLE
from sam_mprompt.errors import RunError


def test_the_shipped_file_counts_what_arithmetic_says(monkeypatch):
    assert known_density(gradient(48, 64), 4).sum() == pytest.approx(POOLED, rel=1e-4)
    assert count_with_a_file().endswith(f"expected {POOLED:.4f}")
    monkeypatch.setattr(self_test, "POOLED", POOLED * 1.02)
    check = performed("counting", count_with_a_file)
    assert (check.outcome, "Expected 39.06 heads by onnxruntime, got 38.29" in check.said) == ("failed", True)


def test_a_file_is_kept_and_nothing_is_left_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("SAM_MPROMPT_CACHE", str(tmp_path / "cache"))
    assert performed("keeping files", keep_files).outcome == "passed"
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_fails_and_is_told_with_the_systems_reason(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAM_MPROMPT_CACHE", str(tmp_path / "file" / "cache"))
    check = performed("keeping files", keep_files)
    assert check.outcome == "failed"
    assert "RunError: Cannot write" in check.said
    [problem] = problems([check])
    assert problem.stops
    assert advised(problem.error).startswith("The self-test 'keeping files' failed: RunError: Cannot write")


def test_the_demo_adapter_counts_what_was_recorded(monkeypatch, tmp_path):
    tests = SelfTests(WHOLE, tmp_path)
    assert tests.count_with_an_adapter().startswith("200.")
    monkeypatch.setattr(self_test, "COUNTED", 205.0)
    with pytest.raises(RunError, match=r"Expected 205\.00 heads in the bundled picture on cpu, got 200\.\d\d"):
        tests.count_with_an_adapter()


def test_a_step_trains_what_has_to_train_and_keeps_an_adapter(tmp_path):
    said = SelfTests(WHOLE, tmp_path).train_a_step()
    assert said.endswith("an adapter was written")
    assert (tmp_path / "run" / "adapter" / "counter.json").is_file()


@pytest.mark.slow
def test_all_self_tests_pass(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checks = list(self_tests(WHOLE))
    assert [(check.name, check.outcome) for check in checks] == [(name, "passed") for name in TESTS], checks
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_exported_where_nothing_was_trained(tmp_path):
    with pytest.raises(NotHereError, match="no trained adapter"):
        SelfTests(WHOLE, tmp_path).export_what_was_trained()


def test_the_distribution_without_torch_leaves_out_what_needs_it():
    outcomes = {check.name: check.outcome for check in self_tests(LITE)}
    assert list(outcomes) == list(TESTS)
    assert [name for name, outcome in outcomes.items() if outcome == "passed"] == list(TESTS[:2])
    assert set(list(outcomes.values())[2:]) == {"left out"}


def test_a_failure_says_where_without_the_folders_of_this_installation():
    def fails():
        raise ValueError(f"'/srv/{getpass.getuser()}x/y'\n is wrong")

    check = performed("a test", fails)
    assert (check.outcome, check.said) == ("failed", f"ValueError: '/srv/{getpass.getuser()}x/y' is wrong")
    assert len(check.trace) == 2
    assert check.trace[0].startswith("sam_mprompt/doctor/self_test.py, line ")
    assert check.trace[1].startswith("test_self_test.py, line ")
    assert check.trace[1].endswith("in fails")
