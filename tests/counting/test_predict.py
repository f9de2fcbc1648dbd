import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pooling_backend import AS_IS, PoolingBackend, known_density, noise

from sam_mprompt.counting.predict import check_batch_size, count_many, predict_density, predict_with_mask
from sam_mprompt.data.bounds import Reading
from sam_mprompt.data.image import SmallerCopyWarning
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.geometry import Geometry


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 260), st.integers(1, 260)),
    tile=st.integers(1, 120),
    share=st.floats(0, 0.5),
    grid=st.sampled_from([(4, 16), (8, 8), (8, 32), (16, 16), (4, 4)]),
    batch_size=st.integers(1, 5),
)
def test_every_cell_and_the_count_survive_tiling_of_any_size(size, tile, share, grid, batch_size):
    stride, size_divisor = grid
    image = noise(*size)
    geometry = Geometry(**AS_IS, tile=tile, overlap=int(share * tile))
    backend = PoolingBackend(stride=stride, size_divisor=size_divisor)
    prediction = predict_density(backend, image, geometry, batch_size=batch_size)
    expected = known_density(image, stride)
    assert prediction.density.shape == expected.shape
    assert prediction.density.dtype == np.float32
    np.testing.assert_allclose(prediction.density, expected, rtol=1e-5)
    assert prediction.count == pytest.approx(expected.sum(), rel=1e-5)
    assert prediction.mask_logits is None


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (641, 3), (617, 1013)])
def test_odd_sizes_conserve_the_count(size):
    image = noise(*size)
    prediction = predict_density(PoolingBackend(), image, Geometry(**AS_IS, tile=224, overlap=48))
    assert prediction.count == pytest.approx(known_density(image, 4).sum(), rel=1e-5)


def test_mask_logits_are_blended_like_the_density_and_come_from_the_same_pass():
    image, backend = noise(150, 90), PoolingBackend()
    prediction = predict_with_mask(backend, image, Geometry(**AS_IS, tile=64, overlap=16), batch_size=100)
    np.testing.assert_allclose(prediction.density, known_density(image, 4), rtol=1e-5)
    np.testing.assert_allclose(prediction.mask_logits, known_density(image, 4) - 1, rtol=1e-5, atol=1e-6)
    assert len(backend.batches) == 1


def test_the_image_is_resized_by_the_geometry():
    backend = PoolingBackend()
    prediction = predict_density(backend, noise(1000, 2000), Geometry(max_side=320, min_side=16))
    assert backend.batches[0].shape[2:] == (160, 320)
    assert prediction.image_size == (1000, 2000)
    assert prediction.cell == (25.0, 25.0)


def test_a_density_that_is_not_finite_is_an_error_that_names_the_image(tmp_path):
    class Broken(PoolingBackend):
        def density(self, tiles):
            return np.full_like(super().density(tiles), np.nan)

    with pytest.raises(RunError, match="density of the image holds NaN"):
        predict_density(Broken(), noise(16, 16), Geometry(**AS_IS))
    Image.fromarray(noise(16, 16)).save(tmp_path / "street.png")
    with pytest.raises(RunError, match=r"street\.png holds NaN"):
        list(count_many(Broken(), [tmp_path / "street.png"], Geometry(**AS_IS)))


@pytest.fixture
def files(tmp_path):
    paths = []
    for i, size in enumerate([(40, 60), (40, 60), (90, 30), (40, 60), (130, 150)]):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(noise(*size, seed=i)).save(paths[-1])
    return paths


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_many_images_give_the_same_as_one_by_one_in_order(files, batch_size):
    geometry = Geometry(**AS_IS, tile=64, overlap=16)
    results = list(count_many(PoolingBackend(), files, geometry, batch_size=batch_size))
    assert [result.image for result in results] == files
    for i, result in enumerate(results):
        image = np.asarray(Image.open(files[i]))
        assert result.image_size == image.shape[:2]
        np.testing.assert_allclose(result.density, known_density(image, 4), rtol=1e-5)


def test_paths_pil_images_and_arrays_count_alike(files):
    array = np.asarray(Image.open(files[0]))
    images = [files[0], str(files[0]), Image.open(files[0]), array]
    results = list(count_many(PoolingBackend(), images, Geometry(**AS_IS)))
    assert len({result.count for result in results}) == 1
    assert [result.image for result in results] == [files[0], files[0], None, None]
    for result in results:
        assert result.overlay().shape == array.shape


def test_images_are_read_ahead_but_not_far():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield noise(16, 16)

    results = count_many(PoolingBackend(), endless(), Geometry(**AS_IS), batch_size=3)
    next(results)
    assert len(taken) == 6
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sam-mprompt-decode")]


def test_an_unreadable_image_is_raised_after_the_results_before_it(files, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    images = [files[0], tmp_path / "broken.jpg", files[1]]
    results = count_many(PoolingBackend(), images, Geometry(**AS_IS), batch_size=8)
    assert next(results).image == files[0]
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        next(results)


def test_unreadable_images_are_reported_and_left_out_on_request(files, tmp_path):
    reported = []
    results = count_many(
        PoolingBackend(),
        [tmp_path / "missing.jpg", *files],
        Geometry(**AS_IS),
        batch_size=2,
        on_error=lambda image, error: reported.append((image, str(error))),
    )
    assert [result.image for result in results] == files
    assert [image for image, _ in reported] == [tmp_path / "missing.jpg"]
    assert "missing.jpg" in reported[0][1]


def test_no_images_give_no_results():
    assert list(count_many(PoolingBackend(), [], Geometry())) == []


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(UsageError, match="from 1 to"):
        list(count_many(PoolingBackend(), [noise(8, 8)], Geometry(), batch_size=0))


WITHOUT_TORCH = [
    *(f"counting.{name}" for name in ("backend", "by_adapter", "preprocess", "tiles", "predict", "result", "locate")),
    *(f"evaluation.{name}" for name in ("metrics", "evaluate", "localisation", "submissions", "worst")),
    *("geometry", "targets", "render", "contact_sheet", "data.check", "data.image", "adapter.counter_file"),
]


def test_what_counts_above_the_backend_imports_no_torch():
    code = (
        f"import importlib, sys\nfor name in {WITHOUT_TORCH}:\n    importlib.import_module('sam_mprompt.' + name)\n"
        "    if 'torch' in sys.modules: sys.exit(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_cell_is_as_wide_as_the_horizontal_ratio_says_and_as_high_as_the_vertical_one():
    geometry = Geometry(max_side=150, min_side=1)
    for predict in (predict_density, predict_with_mask):
        prediction = predict(PoolingBackend(stride=2, size_divisor=2), noise(10, 1000), geometry)
        assert prediction.cell == pytest.approx((2 * 1000 / 150, 2 * 10 / 2))  # 1000 x 10 became 150 x 2
        assert prediction.image_size == (10, 1000)
    [result] = count_many(PoolingBackend(stride=2, size_divisor=2), [noise(10, 1000)], geometry)
    assert result.cell == prediction.cell
    assert result.image_size == (10, 1000)


def test_tiles_and_images_go_one_by_one_unless_more_are_asked_for():
    geometry, image = Geometry(**AS_IS, tile=64, overlap=16), noise(100, 100)
    for predict in (predict_density, predict_with_mask):
        backend = PoolingBackend()
        predict(backend, image, geometry)
        assert [len(batch) for batch in backend.batches] == [1] * 4
    backend = PoolingBackend()
    list(count_many(backend, [noise(16, 16)] * 3, geometry))
    assert [len(batch) for batch in backend.batches] == [1] * 3


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (3, 3), (4, 4), (9, 4)])
def test_no_more_than_four_threads_decode(batch_size, threads, monkeypatch):
    pools = []

    class Watched(ThreadPoolExecutor):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            pools.append(self)

    monkeypatch.setattr("sam_mprompt.counting.predict.ThreadPoolExecutor", Watched)
    list(count_many(PoolingBackend(), [noise(8, 8)], Geometry(**AS_IS), batch_size=batch_size))
    assert [(pool._max_workers, pool._thread_name_prefix) for pool in pools] == [(threads, "sam-mprompt-decode")]


@pytest.mark.parametrize("batch_size", [True, 1.0, "2", None, 65_537, -1])
def test_what_is_no_batch_size_is_refused_with_what_came(batch_size):
    with pytest.raises(
        UsageError, match=re.escape(f"batch_size: expected a whole number from 1 to 65536, got {batch_size!r}.")
    ):
        check_batch_size(batch_size)


def test_whole_numbers_of_numpy_are_batch_sizes_up_to_the_largest():
    for batch_size in (1, np.int64(2), 65_536):
        check_batch_size(batch_size)


def test_tiles_share_calls_of_the_network_up_to_the_batch_size():
    backend = PoolingBackend()
    predict_density(backend, noise(150, 90), Geometry(**AS_IS, tile=64, overlap=16), batch_size=100)
    assert len(backend.batches) == 1


def test_pixels_of_a_file_are_not_kept_but_read_again(files):
    [result] = count_many(PoolingBackend(), [files[0]], Geometry(**AS_IS))
    result.overlay()
    files[0].unlink()
    with pytest.raises(UsageError, match=re.escape(str(files[0]))):
        result.overlay()


def test_a_large_jpeg_is_decoded_as_small_as_the_geometry_asks_for_and_counted_in_pixels_of_the_picture(tmp_path):
    Image.new("RGB", (640, 480), (90, 120, 30)).save(tmp_path / "street.jpg")
    backend, geometry = PoolingBackend(), Geometry(max_side=160, min_side=16)
    bounded = Reading(max_pixels=100_000, reduced=True)
    with pytest.warns(SmallerCopyWarning):
        [result] = count_many(backend, [tmp_path / "street.jpg"], geometry, reading=bounded)
    assert backend.batches[0].shape[2:] == (128, 160)  # 120 rows and what makes them a multiple of 16
    assert (result.image_size, result.cell) == ((480, 640), (16.0, 16.0))
    with pytest.warns(SmallerCopyWarning):
        assert result.overlay().shape == (240, 320, 3)
    with pytest.raises(UsageError, match=r"street\.jpg"):
        list(count_many(backend, [tmp_path / "street.jpg"], Geometry(max_side=640), reading=bounded))
