from pathlib import Path

import numpy as np
import pytest
from pooling_backend import AS_IS, PoolingBackend, known_density, noise

import sam_mprompt
from sam_mprompt.counting.any_counter import Ready, TrainedOn
from sam_mprompt.counting.averaged import Mirrored
from sam_mprompt.counting.ensemble import Ensemble
from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.counting.predict import predict_density
from sam_mprompt.counting.scope import Scope
from sam_mprompt.data.image import read_image
from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry


def ready(**geometry):
    calibration = Calibration.fit([10] * 30, [10.0] * 30)
    own = Geometry(**{"tile": 64, "overlap": 16, **AS_IS, **geometry})
    return Ready(PoolingBackend(), own, calibration, Scope({}), TrainedOn())


def test_a_count_of_several_has_no_interval_and_says_why():
    counter = Ensemble([(Path("a"), ready()), (Path("b"), ready())])
    result = counter.count(image := noise(40, 60))
    assert result.count == pytest.approx(known_density(image, 4).sum(), rel=1e-5)
    assert result.interval(0.9) is None
    assert "of each alone" in (counter.calibration.why_not() or "")


def test_adapters_that_cut_images_differently_are_refused_with_their_names():
    with pytest.raises(UsageError, match=r"Only adapters that resize and cut .* as of 'a', got .*tile=128.* of 'b'"):
        Ensemble([(Path("a"), ready()), (Path("b"), ready(tile=128))])


def test_what_counts_together_is_chosen_when_it_is_loaded():
    counter = Ensemble([(Path("a"), ready())])
    counter.use("ensemble")
    assert counter.adapters == {"ensemble": Path("a")}
    with pytest.raises(UsageError, match="cannot be loaded beside"):
        counter.load_adapter("c", name="c")
    with pytest.raises(UsageError, match="Did you mean 'ensemble'"):
        counter.use("ensembel")


def test_a_list_counts_the_mean_of_its_adapters_on_one_base_and_flip_that_of_both_sides(trained_run, crowd_folder):
    image, alone = crowd_folder / "5.png", sam_mprompt.load(trained_run, device="cpu")
    twice = sam_mprompt.load([trained_run, trained_run], device="cpu")
    assert isinstance(twice, sam_mprompt.Ensemble)
    assert twice.count(image).count == pytest.approx(alone.count(image).count, rel=1e-6)
    mirrored = predict_density(Mirrored(alone.ready("default").backend), read_image(image), alone.recipe.geometry)
    both = sam_mprompt.load(trained_run, device="cpu", flip=True).count(image)
    np.testing.assert_array_equal(both.density, mirrored.density)
    assert not np.array_equal(both.density, alone.count(image).density)


def test_an_empty_list_is_refused():
    with pytest.raises(UsageError, match="at least one adapter"):
        sam_mprompt.load([])
