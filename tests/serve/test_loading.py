"""Which adapters a service counts with."""

from pathlib import Path

import pytest
from pooling_backend import noise

from sam_mprompt.errors import UsageError
from sam_mprompt.serve.loading import chosen, load_all, loader, named, no_such


def test_adapters_are_called_as_they_say_or_as_their_folder_or_run():
    arguments = ["station=runs/shb/adapter", "runs/gate/adapter", "adapters/demo/", "x.onnx", "a=b=c"]
    assert named(arguments) == {
        "station": "runs/shb/adapter",
        "gate": "runs/gate/adapter",
        "demo": "adapters/demo/",
        "x.onnx": "x.onnx",
        "a": "b=c",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "at least one adapter"),
        (["a=x", "a=y"], "Two adapters are called 'a': 'x' and 'y'"),
        (["runs/a", "adapters/a"], "Two adapters are called 'a'"),
        (["a b=x"], "got 'a b'"),
        (["=x"], "got ''"),
        (["a="], "Expected an adapter behind the name"),
        (["../.."], r"got '\.\.'"),
    ],
)
def test_names_that_cannot_be_used_are_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        named(arguments)


class Base:
    """A counter that takes further adapters of the same first letter."""

    def __init__(self, source):
        self.kind, self.adapters = source[0], {"default": Path(source)}
        self.active = "default"

    def load_adapter(self, source, *, name):
        if source[0] != self.kind:
            raise UsageError("another base")
        self.adapters[name] = Path(source)

    def use(self, name):
        self.active = name

    @property
    def calibration(self):
        return f"calibration of {self.adapters[self.active]}"

    @property
    def reading(self):
        return f"reading of {self.adapters[self.active]}"


class Exported:
    """A counter that holds one adapter only."""

    def __init__(self, source):
        self.adapters, self.calibration, self.reading = {"only": Path(source)}, "none", "usual"

    def use(self, name):
        assert name == "only"


def test_adapters_of_one_base_share_it_and_others_are_loaded_on_their_own():
    loaded = []

    def load(source):
        loaded.append(source)
        return Exported(source) if source.endswith(".onnx") else Base(source)

    found = load_all({"one": "s1", "file": "x.onnx", "two": "t1", "three": "s2"}, load)
    assert loaded == ["s1", "x.onnx", "t1"]
    assert list(found) == ["one", "file", "two", "three"]
    assert found["three"].counter is found["one"].counter is not found["two"].counter
    assert [one.inner for one in found.values()] == ["default", "only", "default", "served_3"]
    assert found["three"].calibration == "calibration of s2"
    assert found["one"].reading == "reading of s1"
    assert found["one"].counter.active == "default"


def test_the_first_adapter_counts_where_none_is_named():
    found = load_all({"one": "s1", "two": "t1"}, Base)
    assert chosen(found, None) is found["one"]
    assert chosen(found, "two") is found["two"]
    assert chosen(found, "three") is None
    assert no_such(found, "tow") == "No adapter 'tow'. Did you mean 'two'? There are: one, two."


def test_trained_adapters_count_on_one_base_as_each_does_alone(trained_run):
    load = loader(device="cpu", max_pixels=10_000)
    found = load_all({"one": str(trained_run), "two": str(trained_run / "adapter")}, load)
    assert found["one"].counter is found["two"].counter
    assert found["two"].reading.max_pixels == 10_000
    image = noise(80, 75)
    alone = load(str(trained_run)).count(image).count
    for one in found.values():
        (result,) = one.counter.count_many([image], adapter=one.inner, batch_size=4)
        assert result.count == pytest.approx(alone, rel=1e-6)


def test_an_adapter_that_is_none_is_told_as_elsewhere(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        load_all({"one": str(tmp_path / "nowhere")}, loader(device="cpu"))
