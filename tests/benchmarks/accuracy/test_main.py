import pytest

from benchmarks.accuracy import __main__ as accuracy


@pytest.fixture
def said(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["accuracy", *arguments])
        with pytest.raises(SystemExit, match="2"):
            accuracy.main()
        return capsys.readouterr().err

    return call


def test_an_unknown_experiment_is_refused_with_the_known_ones(said):
    assert "no experiment table9; known: bases-crowd, " in said("run", "table9")


def test_photographs_that_an_experiment_needs_are_asked_for_before_anything_is_trained(said):
    message = said("run", "table2-shb-scratch")
    assert "table2-shb-scratch needs --data DIR with shanghaitech/part_B in it" in message
