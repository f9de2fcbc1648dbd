"""Datasets that are made on the page are datasets as any other, and lie nowhere else."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from pooling_backend import noise
from small_page import asking, small_page
from small_service import file_of, photograph

from sam_mprompt.data.formats.read import read_split, recognise
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.ui.datasets import Datasets

HEADS = [(3.25, 4.5), (63.99, 47.99), (0.0, 0.0)]


@pytest.fixture
def datasets(tmp_path):
    return Datasets(tmp_path / "datasets")


def save(datasets, name="market", photo="a.png", points=HEADS, seed=0):
    return datasets.save(name, photo, photograph(seed), points, (48, 64))


def test_a_saved_dataset_is_read_as_any_other(datasets):
    save(datasets)
    save(datasets, photo="nobody.png", points=[], seed=1)
    root = datasets.path("market")
    assert recognise(root) == "points"
    for format in ("points", "json"):
        samples = read_split(root, "train", format=format, val_fraction=0.0).samples
        assert [(sample.image.name, sample.count) for sample in samples] == [("a.png", 3), ("nobody.png", 0)]
    np.testing.assert_allclose(samples[0].points, HEADS, atol=0.01)


def test_data_check_finds_nothing_wrong_with_it(datasets, run_cli):
    save(datasets)
    save(datasets, photo="b.png", seed=1)
    outcome = run_cli("data", "check", datasets.path("market"))
    assert outcome.code == 0, outcome.err


def test_heads_outside_the_photograph_are_refused(datasets):
    for point in ((-0.1, 3), (3, 48.5), (float("nan"), 2)):
        with pytest.raises(UsageError, match="inside the photograph of 64x48"):
            save(datasets, points=[point])
    assert datasets.all() == []


def test_the_same_photograph_is_corrected_and_another_of_its_name_is_numbered(datasets):
    assert save(datasets) == "a.png"
    assert save(datasets, points=HEADS[:1]) == "a.png"
    assert save(datasets, seed=1) == "a-2.png"
    assert datasets.save("market", "a.jpg", file_of(noise(48, 64), "JPEG"), [], (48, 64)) == "a-3.jpg"
    assert [(photo.file, photo.heads) for photo in datasets.all()[0].photos] == [
        ("a-2.png", 3),
        ("a-3.jpg", 0),
        ("a.png", 1),
    ]
    assert datasets.open("market", "a.png") == (photograph(), [[3.25, 4.5]])


@pytest.mark.parametrize(
    ("photo", "file"),
    [
        ("../../secret.png", "secret.png"),
        ("..\\..\\secret.png", "secret.png"),
        (".hidden", "hidden.png"),
        ("train.png", "photo-train.png"),
        ("readme.jpg", "photo-readme.png"),
        ("Gänse am Tor (3).png", "G-nse-am-Tor-3.png"),
        ("/", "photo.png"),
        ("x" * 300 + ".png", "x" * 60 + ".png"),
    ],
)
def test_a_photograph_is_saved_under_a_name_that_leads_nowhere_and_means_nothing_else(datasets, photo, file):
    assert save(datasets, photo=photo) == file
    assert (datasets.path("market") / "images" / file).is_file()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", "/etc", "a.", ".a", "a\n", "a" * 65, "ä", "-a", "con:"])
def test_a_name_that_leads_elsewhere_is_none(datasets, name):
    for action in (save, lambda one, name: one.open(name, "a.png"), lambda one, name: one.remove(name, "a.png")):
        with pytest.raises(UsageError, match="Expected a name for the dataset"):
            action(datasets, name)
    assert not datasets.root.exists()


@pytest.mark.parametrize("file", ["../../../secret.png", "a.json", "/etc/passwd", "", ".."])
def test_only_a_datasets_own_photographs_are_opened_and_removed(datasets, file):
    save(datasets)
    secret = datasets.root.parent / "secret.png"
    secret.write_bytes(photograph())
    for action in (datasets.open, datasets.remove):
        with pytest.raises(UsageError, match="No photograph"):
            action("market", file)
    assert secret.is_file()


def test_the_last_photograph_takes_the_dataset_along(datasets):
    save(datasets)
    save(datasets, photo="b.png", seed=1)
    datasets.remove("market", "a.png")
    assert [photo.file for photo in datasets.all()[0].photos] == ["b.png"]
    datasets.remove("market", "b.png")
    assert datasets.all() == []
    assert not datasets.path("market").exists()


def test_a_full_disk_is_told_and_what_was_saved_before_stands(datasets, monkeypatch):
    save(datasets)

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(RunError, match="No space left"):
            save(datasets, photo="b.png", seed=1)
        patch.setattr(Path, "write_text", full)
        with pytest.raises(RunError, match="No space left"):
            save(datasets, points=HEADS[:1])
        with pytest.raises(RunError, match="No space left"):
            save(datasets, photo="b.png", seed=1)
        with pytest.raises(RunError, match="No space left"):
            save(datasets, name="other")
    assert [one.name for one in datasets.all()] == ["market"]
    assert [(photo.file, photo.heads) for photo in datasets.all()[0].photos] == [("a.png", 3)]


def test_what_is_saved_on_the_page_is_there_after_it_is_started_anew(tmp_path):
    with asking(small_page(tmp_path)) as client:
        photo = client.opened(photograph(size=(48, 64)), "a.png")
        saved = client.post("/api/datasets/market/photos", {"photo": photo, "points": HEADS})
        assert saved.json() == {"dataset": "market", "file": "a.png", "heads": 3}
        refused = client.post("/api/datasets/..%2f..%2fetc/photos", {"photo": photo, "points": []})
        assert refused.status_code in (404, 422)
    with asking(small_page(tmp_path)) as client:
        assert client.get("/api/state").json()["datasets"] == [
            {"name": "market", "photos": [{"file": "a.png", "heads": 3}]}
        ]
        opened = client.post("/api/datasets/market/open", {"file": "a.png"}).json()
        assert opened["points"] == [[3.25, 4.5], [63.99, 47.99], [0.0, 0.0]]
        assert client.count(opened["id"]).json()["count"] > 0
        compared = client.post("/api/datasets/market/photos/a.png/compare", {"adapters": ["station", "station"]}).json()
        assert compared["heads"] == 3
        assert compared["counts"] == [client.count(opened["id"]).json()["count"]] * 2
        assert client.ask("DELETE", "/api/datasets/market/photos/a.png").json() == {}
        assert client.get("/api/state").json()["datasets"] == []
