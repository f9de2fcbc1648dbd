import pytest
from crowd_files import HEADS, folder_of, points, train

from sam_mprompt.data.formats.tools.imagej_results import IMAGEJ, read_results, read_results_of_many
from sam_mprompt.errors import UsageError

# What Measure gives for multi-points with "Display label", saved from the window of results.
LABELLED = """ ,Label,Area,Mean,Min,Max,X,Y,Counter,Count
1,a.jpg,0,121,121,121,3.5,4,0,3
2,a.jpg,0,98,98,98,10,2,0,3
3,stack:b.jpg,0,98,98,98,1,1,0,3
"""
STACK = " ,X,Y,Slice\n1,3.5,4,1\n2,10,2,1\n3,7,7,10\n"


def test_results_with_labels_are_those_of_the_images_that_these_name(tmp_path):
    assert points(folder_of(tmp_path, {"Results.csv": LABELLED})) == {"a.jpg": HEADS, "b.jpg": [[1, 1]]}


def test_results_that_know_a_slice_alone_are_counted_along_the_images_and_told(tmp_path):
    names = [f"{number}.jpg" for number in range(1, 11)]
    split = train(folder_of(tmp_path, {"Results.csv": STACK}, names))
    assert {s.image.name: s.points.tolist() for s in split.samples} == {"1.jpg": HEADS, "10.jpg": [[7, 7]]}
    assert "slice 1 is the first image" in split.problems.readings[tmp_path / "10.jpg"]


def test_a_slice_without_an_image_is_refused(tmp_path):
    with pytest.raises(UsageError, match="says slice 10; there are 2 images"):
        train(folder_of(tmp_path, {"Results.csv": STACK}))


def test_a_table_called_as_an_image_is_its_own_in_tabs_and_decimal_commas_too(tmp_path):
    german = " \tMean\tX\tY\n1\t12,5\t3,5\t4\n2\t13,0\t10\t2\n"
    folder_of(tmp_path, {"a.tsv": german, "b.csv": LABELLED.replace("stack:b.jpg", "a.jpg")})
    assert points(tmp_path) == {"a.jpg": HEADS, "b.jpg": [*HEADS, [1, 1]]}


def test_a_table_of_several_images_that_is_called_as_one_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(LABELLED)
    with pytest.raises(UsageError, match="expected the results of one image; found those of 2"):
        read_results(path)


def test_counters_are_labels(tmp_path):
    content = LABELLED.replace("1,1,0,3", "1,1,4,3")
    folder_of(tmp_path, {"Results.csv": content})
    with pytest.raises(UsageError, match=r"several labels \(counter 0, counter 4\)"):
        train(tmp_path)
    assert points(tmp_path, label="counter 4") == {"a.jpg": [], "b.jpg": [[1, 1]]}


def test_a_row_without_numbers_or_image_is_refused_by_line(tmp_path):
    path = tmp_path / "Results.csv"
    path.write_text(" ,Label,X,Y\n1,a.jpg,3,4\n2,a.jpg,x,4\n")
    with pytest.raises(UsageError, match=r"line 3: expected an ImageJ table .* received '2,a.jpg,x,4'"):
        read_results_of_many(path)
    path.write_text(" ,Label,X,Y\n1,,3,4\n")
    with pytest.raises(UsageError, match="line 2: expected the image's name as Label"):
        read_results_of_many(path)


def test_our_own_table_is_not_taken_for_it(tmp_path):
    path = tmp_path / "annotations.csv"
    for content in ("image,x,y\na.jpg,1,1\n", "x,y\n1,1\n", "image,x,y,slice\n", ""):
        path.write_text(content)
        assert IMAGEJ.kind_of(path) is None
