import numpy as np

from sam_mprompt.counting.video.plot import Course, plot

PAPER, SMOOTH, RAW, BAND, GAP = (255, 255, 255), (24, 84, 160), (150, 170, 200), (214, 226, 242), (240, 236, 228)
INSIDE = np.s_[60:410, 80:1170]  # between the axes


def course(counts, **columns):
    made = Course()
    for at, count in enumerate(counts):
        made.add(at, count, **{name: values[at] for name, values in columns.items()})
    return made


def pixels_of(picture, colour):
    return (np.abs(picture[INSIDE].astype(int) - colour).sum(2) < 12).sum()


def column(picture, share):
    return picture[60:410, round(78 + share * (1200 - 78 - 24))]


def test_the_line_rises_where_the_count_does():
    picture = plot(course([0, 0, 50, 100, 100]), "v")
    assert picture.shape == (480, 1200, 3)
    heights = [
        np.flatnonzero(np.abs(column(picture, share).astype(int) - SMOOTH).sum(1) < 150).mean()
        for share in (0.3, 0.5, 0.7)
    ]
    assert heights[0] > heights[1] > heights[2]


def test_without_smoothing_the_counts_are_the_dark_line_and_with_it_the_light_one():
    assert pixels_of(plot(course([3, 9, 3]), "v"), RAW) < 50
    smoothed = plot(course([3, 9, 3], smoothed=[3, 6, 3]), "v")
    assert pixels_of(smoothed, RAW) > 500
    assert pixels_of(smoothed, SMOOTH) > 500


def test_intervals_are_a_band_around_the_line():
    intervals = [(4, 12), (14, 26), (4, 12)]
    picture = plot(course([8, 20, 8], interval=intervals), "v")
    assert pixels_of(picture, BAND) > 5000
    assert pixels_of(plot(course([8, 20, 8]), "v"), BAND) < 500


def test_a_gap_interrupts_the_line_and_is_shaded():
    picture = plot(course([5, 5, 5, 5], gap=[0, 0, 1, 0]), "v")
    assert pixels_of(picture, GAP) > 50_000
    middle = column(picture, 0.5)
    assert (np.abs(middle.astype(int) - SMOOTH).sum(1) > 100).all()


def test_a_single_count_a_count_of_nobody_and_millions_are_drawn():
    for counts in ([7], [0, 0, 0], [2e6, 3e6]):
        assert (plot(course(counts), "v") != 255).any()


def test_a_title_of_any_length_stays_within_the_picture():
    short, long = plot(course([1, 2]), "v"), plot(course([1, 2]), "v" * 500)
    assert (short[:, -20:] == long[:, -20:]).all()


def test_a_month_of_counts_takes_little_memory():
    made = Course()
    for second in range(20_000):
        made.add(second, 5.0)
    assert made.arrays().nbytes == 6 * 8 * len(made)
    assert plot(made, "v").shape == (480, 1200, 3)
