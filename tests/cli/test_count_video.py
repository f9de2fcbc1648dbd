import csv
import json
import os
import signal

import cv2
import numpy as np
import pytest
from PIL import Image
from videos import ScriptedCapture, break_frames, write_video

from sam_mprompt.counting.counter import Counter
from sam_mprompt.counting.video.live import Live
from sam_mprompt.errors import RunError


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Three seconds of a picture that grows brighter."""
    return write_video(tmp_path_factory.mktemp("video") / "station.avi", range(30, 240, 7))


def rows_of(path):
    return list(csv.DictReader(path.open()))


def stopping(monkeypatch, after, error=KeyboardInterrupt):
    """Let counting end by itself after so many frames."""
    whole = Counter.count_video

    def count(self, *arguments, **options):
        for number, frame in enumerate(whole(self, *arguments, **options)):
            if number == after:
                raise error
            yield frame

    monkeypatch.setattr(Counter, "count_video", count)


def live_from(monkeypatch, script):
    """Let every address be a camera that gives these frames and is lost then."""
    camera = lambda *_, **options: Live(  # noqa: E731
        lambda: ScriptedCapture(script), "rtsp://u:***@cam", reconnect=options["reconnect"], notice=options["notice"]
    )
    monkeypatch.setattr("sam_mprompt.counting.video.source.open_video", camera)


def test_a_video_gives_rows_a_film_a_plot_and_a_summary(run_cli, trained_run, video, tmp_path):
    files = {name: tmp_path / name for name in ("c.csv", "c.jsonl", "o.mp4", "p.png")}
    done = run_cli(
        "count", trained_run, video, "--every", "500ms", "--smooth", "1s", "--csv", files["c.csv"], "--jsonl",
        files["c.jsonl"], "--overlay", files["o.mp4"], "--plot", files["p.png"],
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = rows_of(files["c.csv"])
    assert list(rows[0]) == ["time", "seconds", "count", "smoothed", "gap"]
    assert [row["time"] for row in rows] == [f"0:00:0{s}.{t}00" for s in range(3) for t in (0, 5)]
    records = [json.loads(line) for line in files["c.jsonl"].read_text().splitlines()]
    assert [record["count"] for record in records] == [float(row["count"]) for row in rows]
    assert [record["frame"] for record in records] == [0, 5, 10, 15, 20, 25]
    counts = [float(row["count"]) for row in rows]
    assert float(rows[-1]["smoothed"]) == pytest.approx(np.median(counts[-2:]), abs=1e-3)
    assert f"mean              {np.mean(counts):,.1f}" in done.out
    assert f"peak              {max(counts):,.1f} at 0:00:0{np.argmax(counts) // 2}" in done.out
    assert "frames counted    6, every 500ms, 0:00:00 to 0:00:02" in done.out
    assert "not how many passed by" in done.out
    assert cv2.VideoCapture(str(files["o.mp4"])).get(cv2.CAP_PROP_FRAME_COUNT) == 15
    assert Image.open(files["p.png"]).size == (1200, 480)


def test_json_is_the_summary(run_cli, trained_run, video):
    done = run_cli("count", trained_run, video, "--json")
    record = json.loads(done.out)
    assert (record["video"], record["frames"], record["broken"], record["gaps"]) == (str(video), 3, 0, 0)
    assert record["minimum"]["count"] <= record["mean"] <= record["peak"]["count"]
    assert record["measures"].startswith("occupancy")


def test_rows_on_stdout_are_alone_there(run_cli, trained_run, video):
    done = run_cli("count", trained_run, video, "--csv", "-")
    assert [line.split(",")[1] for line in done.out.splitlines()] == ["seconds", "0.000", "1.000", "2.000"]
    assert "occupancy" in done.err
    both = run_cli("count", trained_run, video, "--csv", "-", "--json")
    assert (both.code, "only one of them" in both.err) == (2, True)


def test_images_are_a_video_where_their_frame_rate_is_given(run_cli, trained_run, crowd_folder):
    done = run_cli("count", trained_run, crowd_folder, "--fps", "2", "--every", "1s", "--json")
    assert json.loads(done.out)["frames"] == 6
    pattern = run_cli("count", trained_run, crowd_folder / "%d.png", "--fps", "2", "--every", "1f", "--json")
    assert json.loads(pattern.out)["last"] == 5.0
    listed = run_cli("count", trained_run, *sorted(crowd_folder.glob("[345].png")), "--fps", "1", "--json")
    assert json.loads(listed.out)["frames"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{video}", "a.jpg"], "count each video by itself"),
        (["a.jpg", "rtsp://u:hunter2@cam/1"], "among them the video 'rtsp://u:***@cam/1'"),
        (["{images}", "--every", "1s"], "--every is for a video"),
        (["{images}", "--plot", "p.png"], "--plot is for a video"),
        (["{images}/%d.png"], "Give it with --fps N"),
        (["{video}", "--fps", "3"], "has its own times"),
        (["{video}", "--every", "10"], "such as 1s, 500ms, 10min or 10f"),
        (["{video}", "--smooth", "often"], "smooth: expected a time"),
        (["{video}", "--overlay", "out"], "expected a name that ends in .mp4"),
        (["{video}", "--plot", "p.pdf"], "expected a name that ends in .png"),
        (["{video}", "--points", "p.csv"], "--points is for images"),
        (["{video}", "--resume-csv"], "--resume-csv needs --csv FILE"),
        (["{video}", "--resume-csv", "--csv", "c.csv", "--overlay", "o.mp4"], "expected no --overlay"),
        (["nowhere.mp4"], "No video at 'nowhere.mp4'"),
        (["rtsp://u:hunter2@127.0.0.1:9/1"], "Cannot open 'rtsp://u:***@127.0.0.1:9/1'"),
        (["webcam:97"], "Cannot open webcam 97"),
        (["{video}", "--max-pixels", "100"], "more than the 100 accepted"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    run_cli, trained_run, crowd_folder, video, tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    done = run_cli("count", trained_run, *(word.format(video=video, images=crowd_folder) for word in words))
    assert done.code == 2, done.err
    assert said in done.err
    assert "hunter2" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_stopped_goes_on_where_it_was(run_cli, trained_run, video, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.csv", tmp_path / "c.csv"
    words = ["count", trained_run, video, "--every", "2f", "--smooth", "1s"]
    assert run_cli(*words, "--csv", whole).code == 0
    with monkeypatch.context() as patched:
        stopping(patched, 6)
        stopped = run_cli(*words, "--csv", out, "--overlay", tmp_path / "o.mp4")
    assert stopped.code == 130
    assert "stopped at 0:00:01 of 0:00:03; 6 frames were counted. Go on with --resume-csv." in stopped.err
    assert "mean" in stopped.out
    assert cv2.VideoCapture(str(tmp_path / "o.mp4")).isOpened()
    with out.open("a") as file:
        file.write("0:00:01.200,1.2")  # a row that a kill has cut
    resumed = run_cli(*words, "--csv", out, "--resume-csv", "--plot", tmp_path / "p.png", "--json")
    assert resumed.code == 0, resumed.err
    assert "6 frames are in" in resumed.err
    assert out.read_text() == whole.read_text()
    assert json.loads(resumed.out)["frames"] == len(rows_of(whole)) == 15
    again = run_cli(*words, "--csv", out, "--resume-csv")
    assert (again.code, out.read_text()) == (0, whole.read_text())


@pytest.mark.parametrize(
    "held",
    ["image,count\n", "time,seconds,count,gap\n0:00:01,1,2,\n0:00:01,1,2,\n", "time,seconds,count,gap\n0,x,1,\n"],
)
def test_a_csv_file_of_another_kind_is_not_gone_on_with(run_cli, trained_run, video, tmp_path, held):
    (tmp_path / "c.csv").write_text(held)
    done = run_cli("count", trained_run, video, "--csv", tmp_path / "c.csv", "--resume-csv")
    assert (done.code, "Cannot go on with" in done.err) == (2, True)
    assert (tmp_path / "c.csv").read_text() == held


def test_broken_frames_and_a_cut_file_are_told_and_survived(run_cli, trained_run, tmp_path):
    path = break_frames(write_video(tmp_path / "v.avi", [0] * 40, noisy=True), [5, 6])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run_cli("count", trained_run, path, "--json", "--csv", tmp_path / "c.csv")
    assert done.code == 0
    assert "has broken frames" in done.err
    assert "ends at 0:00:0" in done.err
    record = json.loads(done.out)
    assert (record["broken"], record["ended_early"]) == (2, True)
    assert len(rows_of(tmp_path / "c.csv")) == record["frames"] >= 2


def test_stopping_a_live_stream_is_its_usual_end(run_cli, trained_run, tmp_path, monkeypatch):
    live_from(monkeypatch, [40] * 10_000)
    stopping(monkeypatch, 3)
    words = [
        "--every",
        "1f",
        "--csv",
        tmp_path / "c.csv",
        "--overlay",
        tmp_path / "o.mp4",
        "--plot",
        tmp_path / "p.png",
    ]
    done = run_cli("count", trained_run, "rtsp://u:hunter2@cam/1", *words)
    assert done.code == 0, done.err
    assert "dropped frames" in done.out
    rows = rows_of(tmp_path / "c.csv")
    assert len(rows) == 3
    assert rows[0]["time"][:2] == "20"  # the time of day: 2026-...
    assert (tmp_path / "p.png").is_file()
    assert cv2.VideoCapture(str(tmp_path / "o.mp4")).isOpened()
    assert "hunter2" not in done.err + done.out


def test_the_system_ends_a_live_stream_as_ctrl_c_does(run_cli, trained_run, tmp_path, monkeypatch):
    live_from(monkeypatch, [40] * 10**5)
    grab = ScriptedCapture.grab

    def ended(capture):
        if len(capture.script) == 10**5 - 100:
            os.kill(os.getpid(), signal.SIGTERM)
        return grab(capture)

    monkeypatch.setattr(ScriptedCapture, "grab", ended)
    before = signal.getsignal(signal.SIGTERM)
    done = run_cli("count", trained_run, "rtsp://cam/1", "--every", "1f", "--csv", tmp_path / "c.csv")
    assert done.code == 0, done.err
    assert len(rows_of(tmp_path / "c.csv")) >= 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stream_that_is_lost_for_good_keeps_what_was_counted_and_exits_with_1(
    run_cli, trained_run, tmp_path, monkeypatch
):
    live_from(monkeypatch, [40] * 3)
    words = ["--every", "1f", "--reconnect", "0s", "--csv", tmp_path / "c.csv", "--plot", tmp_path / "p.png"]
    done = run_cli("count", trained_run, "rtsp://u:hunter2@cam/1", *words)
    assert done.code == 1
    assert "it did not come back within 0 s. What was counted before is kept." in done.err
    assert "frames counted" in done.out
    assert len(rows_of(tmp_path / "c.csv")) >= 1
    assert (tmp_path / "p.png").is_file()


def test_a_live_stream_is_not_resumed(run_cli, trained_run, tmp_path, monkeypatch):
    live_from(monkeypatch, [40] * 3)
    done = run_cli("count", trained_run, "rtsp://cam/1", "--csv", tmp_path / "c.csv", "--resume-csv")
    assert (done.code, "goes on with a file" in done.err) == (2, True)


def test_regions_are_columns_and_ignore_zones_are_left_out(run_cli, trained_run, video, tmp_path):
    regions = tmp_path / "r.csv"
    regions.write_text("name,x,y\nleft,0,0\nleft,32,0\nleft,32,48\nleft,0,48\n")
    done = run_cli(
        "count", trained_run, video, "--regions", regions, "--csv", tmp_path / "c.csv", "--jsonl", tmp_path / "c.jsonl"
    )
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "c.csv")
    assert list(rows[0]) == ["time", "seconds", "count", "left", "elsewhere", "gap"]
    for row in rows:
        assert float(row["left"]) + float(row["elsewhere"]) == pytest.approx(float(row["count"]), abs=2e-4)
    assert json.loads((tmp_path / "c.jsonl").read_text().splitlines()[0])["regions"][0]["name"] == "left"
    regions.write_text(regions.read_text().replace("left", "seconds"))
    clash = run_cli("count", trained_run, video, "--regions", regions)
    assert (clash.code, "cannot be called 'seconds'" in clash.err) == (2, True)


def test_a_film_that_fails_costs_a_line_and_the_counts_go_on(run_cli, trained_run, video, tmp_path, monkeypatch):
    def full(*_):
        raise RunError("Cannot write 'o.mp4': the disk is full.")

    monkeypatch.setattr("sam_mprompt.counting.video.film.Film.add", full)
    done = run_cli("count", trained_run, video, "--overlay", tmp_path / "o.mp4", "--csv", tmp_path / "c.csv")
    assert done.code == 1
    assert done.err.count("the disk is full") == 1
    assert "could not be written" in done.err
    assert len(rows_of(tmp_path / "c.csv")) == 3


def test_frames_unlike_training_are_told_once_and_counted(run_cli, trained_run, video, monkeypatch):
    whole = Counter.count_video

    def warned(self, *arguments, **options):
        for frame in whole(self, *arguments, **options):
            object.__setattr__(frame, "warnings", ("it is dark",))
            yield frame

    monkeypatch.setattr(Counter, "count_video", warned)
    done = run_cli("count", trained_run, video)
    assert done.err.count("it is dark") == 1
    assert "unlike training   3 frames" in done.out


def test_the_bar_knows_how_much_is_left_and_a_stream_has_a_line(trained_run, video):
    from io import StringIO

    from rich.console import Console

    from sam_mprompt.cli.video_progress import video_progress
    from sam_mprompt.counting.video.series import FrameCount
    from sam_mprompt.counting.video.source import open_video

    terminal = Console(file=StringIO(), force_terminal=True, width=100)
    with video_progress(open_video(video), terminal) as show:
        show(FrameCount(15, 1.5, 41.25))
    assert "0:00:02  41.2 people" in terminal.file.getvalue()
    assert "50%" in terminal.file.getvalue()
    stream = Live(lambda: ScriptedCapture([1]), "cam")
    stream.health.dropped = 7
    with video_progress(stream, terminal) as show:
        show(FrameCount(15, 61, 41.25))
    assert "0:01:01  41.2 people, 7 dropped; Ctrl-C ends" in terminal.file.getvalue()
    stream.close()
