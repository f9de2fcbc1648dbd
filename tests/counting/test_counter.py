import itertools
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sam_mprompt
import sam_mprompt.counting.counter as module
from sam_mprompt.adapter.calibration_file import CalibrationFile
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.adapter.loading import load_adapter
from sam_mprompt.adapter.scope_file import RangeRecord, ScopeFile
from sam_mprompt.counting import any_counter
from sam_mprompt.counting.any_counter import TrainedOn
from sam_mprompt.counting.counter import Counter, calibration_of, scope_of, trained_on_of
from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.counting.region import Region
from sam_mprompt.counting.regions import Regions
from sam_mprompt.counting.video.series import TrailingMedian
from sam_mprompt.data.bounds import Reading
from sam_mprompt.errors import DimImageWarning, UsageError
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.resources import bundled
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.session import TrainingSession
from sam_mprompt.training.splits import TrainingData
from sam_mprompt.tuning.adapters import disable


@pytest.fixture(scope="module")
def other_run(tmp_path_factory, tiny_recipe, crowd_folder):
    """A second adapter on the same base, with other prompt modules and another head."""
    run = tmp_path_factory.mktemp("other") / "run"
    recipe = load_recipe(tiny_recipe, ["train.seed=7", "tuning.bottleneck=4", "model.stem_channels=4"])
    TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(run)).fit()
    return run


@pytest.fixture
def counter(trained_run):
    return sam_mprompt.load(trained_run / "adapter", device="cpu")


def test_paths_pil_images_and_arrays_count_the_same(counter, crowd_folder):
    path = crowd_folder / "5.png"
    counts = [counter.count(image).count for image in (path, str(path), Image.open(path), np.asarray(Image.open(path)))]
    assert counts == pytest.approx([counts[0]] * 4)


def test_a_result_has_count_density_points_and_overlay(counter, crowd_folder):
    result = counter.count(crowd_folder / "5.png")
    assert result.density.sum(dtype=np.float64) == pytest.approx(result.count, rel=1e-5)
    assert result.points().shape == (round(result.count), 2)
    height, width = result.image_size
    assert result.overlay().shape == (height, width, 3)


def test_many_images_keep_their_order(counter, crowd_folder):
    paths = sorted(crowd_folder.glob("*.png"))
    single = [counter.count(path).count for path in paths]
    assert [result.count for result in counter.count_many(paths, batch_size=3)] == pytest.approx(single, rel=1e-5)
    assert [result.image for result in counter.count_many(paths)] == paths


def test_two_adapters_on_one_base_count_as_each_alone(counter, other_run, trained_run, crowd_folder):
    image = crowd_folder / "7.png"
    alone = {
        "default": counter.count(image).count,
        "other": sam_mprompt.load(other_run, device="cpu").count(image).count,
    }
    counter.load_adapter(other_run, name="other")
    assert counter.count(image).count == alone["default"]
    for name in ("other", "default", "other"):
        counter.use(name)
        assert counter.count(image).count == pytest.approx(alone[name], rel=1e-6)
    assert alone["other"] != alone["default"]
    assert set(counter.adapters) == {"default", "other"}


def test_a_loaded_counter_shares_one_base_and_trains_nothing(counter, other_run):
    counter.load_adapter(other_run, name="other")
    first = counter.model
    counter.use("other")
    assert counter.model.encoder is first.encoder
    assert not any(parameter.requires_grad for parameter in counter.model.parameters())
    assert not counter.model.training


def test_counting_with_prompt_modules_imports_no_library_that_takes_longer_than_counting():
    code = """
import sys
import sam_mprompt
adapter, image = sys.argv[1:]
counter = sam_mprompt.load(adapter, device="cpu")
counter.load_adapter(adapter, name="again")
counter.use("again")
print(round(counter.count(image).count, 1))
print({"peft", "transformers", "timm", "torchvision", "torch._dynamo", "segment_anything"} & set(sys.modules))
"""
    demo = bundled("adapters") / "demo"  # its name alone would be a run of that name, where there is one
    image = demo / "examples" / "lawn.jpg"
    done = subprocess.run([sys.executable, "-c", code, demo, image], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["165.9", "set()"]


def test_disabling_the_adapter_changes_the_features(counter):
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (prompted,) = counter.model.encoder(images)
        with disable(counter.model.encoder):
            assert not torch.equal(counter.model.encoder(images)[0], prompted)
        assert torch.equal(counter.model.encoder(images)[0], prompted)


def test_unknown_names_get_a_suggestion(counter, trained_run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="Did you mean 'default'"):
        counter.use("defualt")
    with pytest.raises(UsageError, match="loaded already"):
        counter.load_adapter(trained_run, name="default")
    shutil.copytree(trained_run, tmp_path / "runs" / "station")
    monkeypatch.chdir(tmp_path)
    assert sam_mprompt.load("station", device="cpu").adapters["default"].parts[:2] == ("runs", "station")
    with pytest.raises(UsageError, match="Did you mean 'station'"):
        sam_mprompt.load("statoin")


def test_a_missing_gpu_is_said_plainly(trained_run):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="torch sees no GPU"):
        sam_mprompt.load(trained_run, device="cuda")


def test_importing_the_package_and_its_command_line_imports_no_torch():
    code = (
        "import sys, sam_mprompt, sam_mprompt.cli.app;"
        "print([m for m in ('torch', 'peft', 'timm', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.fixture
def two(counter, other_run, crowd_folder):
    """A counter with the adapters "default" and "other", an image, and the count that each makes of it."""
    counter.load_adapter(other_run, name="other")
    image = crowd_folder / "7.png"
    right = {name: counter.count(image, adapter=name).count for name in ("default", "other")}
    assert abs(right["default"] - right["other"]) > 0.1
    return counter, image, right


def test_what_is_being_counted_keeps_the_adapter_that_it_was_begun_with(two):
    counter, image, right = two
    first = counter.count_many([image] * 3)
    counter.use("other")
    second = counter.count_many([image] * 3)
    counter.use("default")
    pairs = [(next(first).count, next(second).count, counter.count(image).count) for _ in range(3)]
    assert pairs == [pytest.approx((right["default"], right["other"], right["default"]), rel=1e-6)] * 3


def test_loading_another_adapter_changes_nothing_of_what_is_being_counted(two, other_run):
    counter, image, right = two
    results = counter.count_many([image] * 3)
    assert next(results).count == pytest.approx(right["default"], rel=1e-6)
    counter.load_adapter(other_run, name="third")
    assert [result.count for result in results] == pytest.approx([right["default"]] * 2, rel=1e-6)


def test_eight_threads_that_switch_get_right_counts(two):
    counter, image, right = two
    wrong: list[tuple[str, float]] = []

    def work(number):
        for turn in range(6):
            name = ("default", "other")[(number + turn) % 2]
            counter.use(name)
            found = [result.count for result in counter.count_many([image, image])]
            wrong.extend((name, count) for count in found if abs(count - right[name]) > 1e-3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert wrong == []
    assert counter.active == "default"


def test_mixed_images_count_bit_for_bit_as_each_alone(two, crowd_folder):
    counter, *_ = two
    paths = sorted(crowd_folder.glob("*.png"))
    names = [("default", "other", "other")[at % 3] for at in range(len(paths))]
    alone = [counter.count(path, adapter=name).density for path, name in zip(paths, names, strict=True)]
    mixed = list(counter.count_many(paths, adapters=names))
    assert all(np.array_equal(found.density, own) for found, own in zip(mixed, alone, strict=True))
    assert [found.image for found in mixed] == paths
    grouped = [found.count for found in counter.count_many(paths, adapters=iter(names), batch_size=4)]
    assert grouped == pytest.approx([own.sum(dtype=np.float64) for own in alone], rel=1e-5)


def test_eight_threads_that_mix_adapters_and_switch_get_right_counts(two):
    counter, image, right = two

    def work(number):
        names = [("default", "other")[(number + turn) % 2] for turn in range(4)]
        counter.use(names[0])
        found = counter.count_many([image] * 4, adapters=names, batch_size=1 + number % 3)
        return [abs(result.count - right[name]) for result, name in zip(found, names, strict=True)]

    with ThreadPoolExecutor(8) as pool:
        assert max(itertools.chain.from_iterable(pool.map(work, range(8)))) < 1e-3


def test_mixed_images_share_passes_and_leave_out_what_cannot_be_read(two, frames, tmp_path, monkeypatch):
    counter, _image, _right = two
    sizes, told, backend = [], [], counter.ready("default").backend
    plain = backend.density
    monkeypatch.setattr(backend, "density", lambda tiles: sizes.append(len(tiles)) or plain(tiles))
    names = ["default", "other", "default", "default"]
    images = [frames[0], frames[1], tmp_path / "nobody.png", frames[0]]
    found = counter.count_many(images, adapters=names, batch_size=4, on_error=lambda image, _: told.append(image))
    assert [result.image for result in found] == [frames[0], frames[1], frames[0]]
    assert (sizes, told) == ([2], [tmp_path / "nobody.png"])


def test_an_encoder_is_translated_only_where_that_is_asked_for(trained_run, monkeypatch):
    translated = []
    monkeypatch.setattr(module, "compile_encoder", translated.append)
    module.load(trained_run, device="cpu")
    assert translated == []
    counter = module.load(trained_run, device="cpu", compile=True)
    assert translated == [counter.model.encoder]


def test_the_base_that_is_named_takes_the_place_of_the_recorded_one(trained_run, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        module.load(trained_run, device="cpu", base=str(tmp_path / "nowhere.pth"))


def test_names_of_adapters_are_checked_before_anything_is_counted(two):
    counter, image, _ = two
    for names, said in ((["default", "othr"], "Did you mean 'other'"), (["other"], "2 images and 1 names")):
        with pytest.raises(UsageError, match=said):
            counter.count_many([image] * 2, adapters=names)
    with pytest.raises(UsageError, match=r"^Expected one adapter for all images, or adapters, one per image; got both"):
        counter.count_many([image], adapter="other", adapters=["other"])


def test_a_pool_of_threads_counts_with_the_choice_of_the_thread_that_loaded(two):
    counter, image, right = two
    counter.use("other")
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: counter.count(image).count, range(4)))
        assert pool.submit(lambda: (counter.use("default"), counter.active)[1]).result() == "default"
    assert counts == pytest.approx([right["other"]] * 4, rel=1e-6)
    assert counter.active == "other"


def test_counts_of_the_bare_base_while_the_adapter_is_disabled(two):
    counter, image, right = two
    with disable(counter.model.encoder):
        assert counter.count(image).count != pytest.approx(right["default"], rel=1e-3)
    assert counter.count(image).count == pytest.approx(right["default"], rel=1e-6)


def test_a_pickled_counter_counts_the_same(two):
    counter, image, right = two
    counter.use("other")
    again = pickle.loads(pickle.dumps(counter))
    assert again.active == "other"
    assert again.count(image).count == pytest.approx(right["other"], rel=1e-6)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "2", None, 10**30])
def test_a_batch_size_that_is_no_whole_number_from_1_is_refused_at_the_call(counter, batch_size):
    with pytest.raises(UsageError, match="batch_size: expected a whole number from 1"):
        counter.count_many([], batch_size=batch_size)


@pytest.mark.parametrize("images", ["street.jpg", Path("street.jpg"), 5, None])
def test_count_many_takes_several_images(counter, images):
    with pytest.raises(UsageError, match="Expected several images"):
        counter.count_many(images)


@pytest.mark.parametrize("name", [5, None, [1], "", "a.b", "blocks", "a\nb"])
def test_what_can_be_no_name_of_an_adapter_is_refused_in_one_line(counter, other_run, name):
    for call in (lambda: counter.load_adapter(other_run, name=name), lambda: counter.use(name)):
        with pytest.raises(UsageError) as said:
            call()
        assert said.value.args
    assert set(counter.adapters) == {"default"}


@pytest.mark.parametrize("adapter", [None, 5, "", "x" * 5000, "a\0b"])
def test_what_can_be_no_adapter_is_refused_in_one_line(adapter):
    with pytest.raises(UsageError) as said:
        sam_mprompt.load(adapter)
    assert "\n" not in str(said.value)


def test_an_image_without_pixels_is_refused(counter):
    for image in (Image.new("RGB", (0, 0)), np.zeros((0, 4, 3), np.uint8), np.zeros((2, 2)), np.array([None])):
        with pytest.raises(UsageError, match="Expected an image"):
            counter.count(image)


@pytest.mark.parametrize(
    ("precision", "meant"), [("float16", "fp16"), (torch.bfloat16, "bf16"), ("float32", "no"), ("bf61", "bf16")]
)
def test_another_precision_is_refused_with_the_one_that_is_meant(trained_run, precision, meant):
    with pytest.raises(UsageError, match=f"expected 'no', 'fp16' or 'bf16', got .* Did you mean '{meant}'"):
        sam_mprompt.load(trained_run, precision=precision)


@pytest.fixture
def camera_image(tmp_path):
    """A 16-bit picture that uses 12 bits, and the same one in 8."""
    grey = np.random.default_rng(0).integers(0, 256, (70, 90)).astype(np.uint8)
    grey[0, 0] = 255
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray((grey.astype(np.float64) * 4095 / 255).round().astype(np.uint16)).save(tmp_path / "camera.png")
    return tmp_path / "camera.png", tmp_path / "grey.png"


def test_counting_stretches_as_the_adapter_was_trained_unless_told_otherwise(trained_run, camera_image, tmp_path):
    camera, grey = camera_image
    folder = AdapterFolder.read(trained_run / "adapter")
    data = folder.recipe.data.model_copy(update={"stretch": True})
    replace(folder, path=tmp_path / "a", recipe=folder.recipe.model_copy(update={"data": data})).write()
    counter = sam_mprompt.load(tmp_path / "a", device="cpu")
    assert counter.reading.stretch
    expected = counter.count(grey).count
    assert counter.count(camera).count == pytest.approx(expected, rel=1e-5)
    with pytest.warns(DimImageWarning):
        dark = sam_mprompt.load(tmp_path / "a", device="cpu", stretch=False).count(camera).count
    assert dark != pytest.approx(expected, rel=1e-3)
    other = sam_mprompt.load(trained_run / "adapter", device="cpu", stretch=True)
    assert other.count(camera).count == pytest.approx(expected, rel=1e-5)


def test_a_limit_on_pixels_holds_for_files_and_is_refused_before_anything_is_loaded(trained_run, camera_image):
    counter = sam_mprompt.load(trained_run / "adapter", device="cpu", max_pixels=70 * 90 - 1)
    with pytest.raises(UsageError, match="90x70 pixels, more than the 6299 accepted"):
        counter.count(camera_image[1])
    assert counter.count(np.asarray(Image.open(camera_image[1]))).image_size == (70, 90)
    with pytest.raises(UsageError, match="max_pixels: expected a number of pixels"):
        sam_mprompt.load("no such adapter", max_pixels=0)


@pytest.fixture
def frames(crowd_folder):
    """Four photographs of one size, as the frames of a video."""
    return [crowd_folder / f"{index}.png" for index in (4, 5, 6, 7)]


LEFT = Region.around("left", [(0, 0), (40, 0), (40, 60), (0, 60)])


def test_frames_of_a_video_are_counted_as_photographs_are(counter, frames):
    right = [counter.count(path).count for path in frames]
    found = list(counter.count_video(frames, fps=2))
    assert [frame.seconds for frame in found] == [0, 1]
    assert [frame.count for frame in found] == pytest.approx(right[::2], rel=1e-5)
    assert {(frame.smoothed, frame.regions, frame.result) for frame in found} == {(None, None, None)}


def test_what_is_asked_of_a_video_is_done(counter, frames):
    right = [counter.count(path).count for path in frames]
    found = list(counter.count_video(frames, fps=1, every="1f", smooth=2, after=0.5, regions=[LEFT], results=True))
    assert [frame.seconds for frame in found] == [1, 2, 3]
    assert [frame.result.count for frame in found] == pytest.approx(right[1:], rel=1e-5)
    assert [frame.smoothed for frame in found[:2]] == pytest.approx(
        [found[0].count, (found[0].count + found[1].count) / 2], rel=1e-6
    )
    assert [frame.regions["left"].count <= frame.count for frame in found] == [True] * 3
    median = TrailingMedian(10)
    again = list(counter.count_video(frames, fps=1, every="1f", smooth=median, regions=Regions([LEFT])))
    assert again[-1].smoothed == pytest.approx(np.median([frame.count for frame in again]), rel=1e-6)
    assert again[-1].regions["left"].count == pytest.approx(found[-1].regions["left"].count, rel=1e-5)


def test_a_video_is_counted_with_the_adapter_and_the_level_that_are_named(two, frames):
    counter, image, right = two
    [only] = counter.count_video([image], fps=1, adapter="other")
    assert only.count == pytest.approx(right["other"], rel=1e-5)
    counter.use("other")
    [only] = counter.count_video([image], fps=1)
    assert only.count == pytest.approx(right["other"], rel=1e-5)
    with pytest.raises(UsageError, match="No adapter 'third'"):
        counter.count_video([image], adapter="third")
    with pytest.raises(UsageError, match="level: expected a number between 0 and 1"):
        counter.count_video([image], level=90)
    with pytest.raises(UsageError, match="batch_size: expected a whole number"):
        counter.count_video([image], batch_size=0)


def test_a_batch_of_frames_shares_a_pass_of_the_network_where_that_is_asked_for(counter, tmp_path, monkeypatch):
    sizes, frames = [], [tmp_path / f"{index}.png" for index in range(4)]
    for path in frames:
        Image.new("RGB", (64, 64)).save(path)
    backend = counter.ready("default").backend
    plain = backend.density
    monkeypatch.setattr(backend, "density", lambda tiles: sizes.append(len(tiles)) or plain(tiles))
    list(counter.count_video(frames, fps=1))
    assert sizes == [1, 1, 1, 1]
    sizes.clear()
    list(counter.count_video(frames, fps=1, batch_size=2))
    list(counter.count_many(frames, batch_size=4))
    list(counter.count_many(frames[:2]))
    assert sizes == [2, 2, 4, 1, 1]


class Camera:
    """A stream of which no frame is asked for."""

    live = True
    frames = iter


@pytest.mark.parametrize(("video", "batch"), [(Camera(), 1), (["a.png"], 4)])
def test_frames_of_a_stream_wait_for_no_others_and_those_of_a_file_come_in_batches(counter, monkeypatch, video, batch):
    given = {}
    monkeypatch.setattr(any_counter, "count_frames", lambda *_, **asked: given.update(asked) or iter(()))
    list(counter.count_video(video, fps=1 if batch == 4 else None, batch_size=4, notice=print, regions=[LEFT]))
    assert (given["batch_size"], given["notice"]) == (batch, print)
    assert isinstance(given["regions"], Regions)


def test_the_seconds_of_reconnecting_and_who_is_told_reach_the_video(counter, monkeypatch):
    given = {}
    monkeypatch.setattr(any_counter, "as_video", lambda _source, **asked: given.update(asked) or Camera())
    counter.count_video("rtsp://camera", reconnect=7, notice=print).close()
    assert (given["reconnect"], given["notice"], given["reading"]) == (7, print, counter.reading)


def test_a_broken_frame_is_told_to_the_one_who_counts(counter, frames, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    told = []
    found = list(counter.count_video([frames[0], tmp_path / "broken.png", frames[1]], fps=1, notice=told.append))
    assert len(found) == 2
    assert len(told) == 1


def test_an_unreadable_image_goes_to_on_error_and_the_others_are_counted(counter, frames, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    told = []
    results = counter.count_many(
        [frames[0], tmp_path / "broken.png", frames[1]], on_error=lambda *all: told.append(all)
    )
    assert [result.image for result in results] == frames[:2]
    assert [(image.name, type(error)) for image, error in told] == [("broken.png", UsageError)]


def test_large_jpegs_are_read_reduced_and_as_the_recipe_says(counter, trained_run):
    assert counter.reading == Reading(None, False, reduced=True)
    other = sam_mprompt.load(trained_run, device="cpu", max_pixels=10_000, stretch=True)
    assert other.reading == Reading(10_000, True, reduced=True)


def test_the_precision_of_a_counter_is_that_of_its_backend(trained_run, monkeypatch):
    assert sam_mprompt.load(trained_run, device="cpu").precision == "no"
    given = []
    plain = module.TorchBackend
    monkeypatch.setattr(module, "TorchBackend", lambda *a, **k: given.append(k["precision"]) or plain(*a, **k))
    sam_mprompt.load(trained_run, device="cpu", precision="bf16")
    assert given == ["bf16"]


@pytest.fixture
def folder(trained_run):
    return AdapterFolder.read(trained_run / "adapter")


def test_results_have_the_error_bars_and_the_warnings_of_their_adapter(folder, crowd_folder):
    known = CalibrationFile(origin="val", heads=(10,) * 19, counted=(9.0,) * 19)
    seen = ScopeFile(images=5, ranges={"zoom": RangeRecord(least=9, most=9, low=2.0, high=2.5)})
    own = replace(folder, calibration=known, scope=seen)
    counter = Counter(load_adapter(folder, None), own, torch.device("cpu"))
    assert counter.precision == "no"
    assert counter.calibration.images == 19
    result = counter.count(crowd_folder / "5.png")
    assert (result.interval().low, result.interval().high) == (
        counter.calibration.interval(result.count).low,
        counter.calibration.interval(result.count).high,
    )
    assert ["shrunk" in warning for warning in result.warnings] == [True]
    [frame] = counter.count_video([crowd_folder / "5.png"], fps=1, level=0.5)
    assert frame.interval.level == 0.5


def test_the_calibration_of_a_network_is_asked_for_by_its_name(two):
    counter, _image, _right = two
    counter._loaded["other"] = replace(
        counter._loaded["other"],
        ready=replace(counter._loaded["other"].ready, calibration=Calibration(missing="none was made")),
    )
    assert counter.calibration_of("other").why_not() == "none was made"
    assert counter.calibration_of("default") is counter.calibration


def test_how_the_data_of_the_training_is_read_comes_from_its_recipe():
    own = ["data.format=points", "data.label=car", "data.val_fraction=0.25", "train.folds=4", "data.stretch=true"]
    assert trained_on_of(load_recipe("shb", own)) == TrainedOn("car", 0.25, 1, 4, True)
    assert trained_on_of(load_recipe("shb", ["data.format=ucf50", "data.fold=3"])).fold == 3


def test_a_further_adapter_lies_on_the_device_of_the_first(counter, other_run):
    counter.device = torch.device("meta")
    counter.load_adapter(other_run, name="other")
    loaded = counter._loaded["other"]
    assert {parameter.device.type for parameter in loaded.model.regressor.parameters()} == {"meta"}
    assert loaded.backend.device == counter.device


def test_an_adapter_without_calibration_or_scope_says_why_and_warns_of_nothing(folder):
    bare = replace(folder, calibration=None, uncalibrated="it was written without one", scope=None)
    assert calibration_of(bare).why_not() == f"'{folder.path}' has no calibration: it was written without one"
    assert scope_of(bare).ranges == {}


def test_a_whole_model_which_has_no_adapter_to_switch_to_counts(tmp_path, tiny_recipe, crowd_folder):
    recipe = load_recipe(tiny_recipe, ["tuning.method=full", "train.epochs=1"])
    TrainingSession.open(recipe, TrainingData.open(recipe, crowd_folder), RunFolder(tmp_path / "run")).fit()
    counter = sam_mprompt.load(tmp_path / "run", device="cpu")
    assert np.isfinite(counter.count(crowd_folder / "5.png").count)
    assert not counter.model.training


def test_only_adapters_with_prompt_modules_share_a_base(counter, trained_run, folder, tmp_path, monkeypatch):
    native = replace(folder, info=folder.info.model_copy(update={"native": True}))
    no_modules = replace(folder, config=None)
    for other in (native, no_modules):
        for first, second in ((folder, other), (other, folder)):
            counter._loaded["default"] = replace(counter._loaded["default"], folder=first)
            monkeypatch.setattr(AdapterFolder, "read", lambda _path, found=second: found)
            with pytest.raises(UsageError, match=r"does not share a frozen base with prompt modules: load it on its"):
                counter.load_adapter(trained_run, name="second")
    assert set(counter.adapters) == {"default"}


def test_an_unknown_name_is_told_with_those_that_are_loaded(two):
    counter, _image, _right = two
    with pytest.raises(UsageError, match=r"No adapter 'x9' is loaded\. Loaded: default, other\.$"):
        counter.use("x9")
