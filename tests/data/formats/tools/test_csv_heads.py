import pytest
from crowd_files import HEADS, folder_of, points, train

from sam_mprompt.data.formats.read import list_splits, read_split, recognise
from sam_mprompt.data.formats.tools.csv_heads import read_csv, read_csv_of_one_image, table_kind
from sam_mprompt.data.formats.tools.own_files import CSV
from sam_mprompt.errors import UsageError

ROWS = "image,x,y\na.jpg,3.5,4\na.jpg,10,2\nb.jpg,,\n"
ALL = {"a.jpg": HEADS, "b.jpg": []}


def german(text: str) -> str:
    return text.replace(",", ";").replace(".5", ",5")


VARIANTS = {
    "semicolons": ROWS.replace(",", ";").encode(),
    "decimal-commas": german(ROWS).encode(),
    "tabs-and-decimal-commas": german(ROWS).replace(";", "\t").encode(),
    "byte-order-mark": ROWS.encode("utf-8-sig"),
    "excel-unicode-text": ROWS.replace(",", "\t").encode("utf-16"),
    "utf-16-big-endian": b"\xfe\xff" + german(ROWS).encode("utf-16-be"),
    "carriage-returns": ROWS.replace("\n", "\r\n").encode(),
    "excel-says-its-separator": b"sep=;\r\n" + german(ROWS).encode(),
    "quoted": b'"image";"x";"y"\n"a.jpg";"3,5";"4"\n"a.jpg";"10";"2"\n"b.jpg";"";""\n',
    "without-header": german(ROWS).split("\n", 1)[1].encode(),
    "capitals": ROWS.replace("image,x,y", "Image,X,Y").encode(),
}


@pytest.mark.parametrize("name", ["annotations.csv", "heads.csv", "annotations.tsv"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_table_that_a_spreadsheet_saved_is_read_whatever_its_marks(tmp_path, variant, name):
    assert points(folder_of(tmp_path, {name: VARIANTS[variant]})) == ALL


@pytest.mark.parametrize("content", ["x,y\n3.5,4\n10,2\n", "3,5;4\n10;2\n", "image;x;y\na;3,5;4\na;10;2\n"])
def test_a_table_called_as_an_image_is_its_own(tmp_path, content):
    assert points(folder_of(tmp_path, {"a.csv": content, "b.csv": ""})) == ALL


def test_a_table_called_as_an_image_that_names_another_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("image,x,y\na.jpg,1,1\nc.jpg,2,2\n")
    with pytest.raises(
        UsageError, match=r"expected the heads of the image that it is called after; found some of 'c\.jpg'"
    ):
        read_csv_of_one_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image;x;y\na.jpg;3,5;4.5\n", "line 2: expected 'image,x,y' with two numbers"),
        ("image;x;y\na.jpg;3.5;4\na.jpg;3,5;4\n", "line 3: expected 'image,x,y' with two numbers"),
        ("image;x;y\na.jpg;1.234,5;4\n", "line 2: expected 'image,x,y' with two numbers"),
        ("image,x,y\na.jpg,3,5,4,0\n", "line 2: .*received 5 columns .* under a header of 3"),
        ('image,x,y\na.jpg,"3,5",4\n', "line 2: expected 'image,x,y' with two numbers"),
    ],
)
def test_numbers_that_may_mean_two_things_are_refused_by_line(tmp_path, content, message):
    path = tmp_path / "annotations.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_csv(path)


@pytest.mark.parametrize(
    ("header", "guess"),
    [
        ("photo,cx,cy", "image=photo,x=cx,y=cy"),
        ("Image,Col,Row", "x=Col,y=Row"),
        ("image_id,lon,lat", "image=image_id,x=lon,y=lat"),
        ("X (px),Y (px),file", "x=X (px),y=Y (px)"),
        ("foto,x,y", "image=foto"),
        ("who,when,where", "image=COLUMN,x=COLUMN,y=COLUMN"),
    ],
)
def test_other_columns_are_named_and_suggested_and_never_guessed(tmp_path, header, guess):
    content = f"{header}\n" + ("3.5,4,a.jpg\n" if header.endswith("file") else "a.jpg,3.5,4\n")
    folder_of(tmp_path, {"annotations.csv": content}, ["a.jpg"])
    with pytest.raises(UsageError) as refused:
        list_splits(tmp_path)
    message, columns = str(refused.value), [cell.strip() for cell in header.split(",")]
    assert f"found {', '.join(repr(column) for column in columns)}" in message
    assert guess in message
    assert (refused.value.about, refused.value.facts["columns"]) == ("columns", guess)
    if "COLUMN" not in guess:
        assert points(tmp_path, columns=guess) == {"a.jpg": [HEADS[0]]}


def test_columns_are_chosen_by_number_where_they_have_no_names(tmp_path):
    folder_of(tmp_path, {"heads.csv": "4,3.5,a.jpg\n2,10,a.jpg\n"}, ["a.jpg"])
    assert points(tmp_path, columns="image=3,x=2,y=1") == {"a.jpg": HEADS}
    assert read_split(tmp_path, "train", val_fraction=0, columns="image=3,x=2,y=1").format == "points"


def test_what_the_user_says_comes_before_what_the_header_says(tmp_path):
    folder_of(
        tmp_path, {"annotations.csv": "image,x,y,px,py,kind\na.jpg,1,1,3.5,4,head\na.jpg,1,1,9,9,hat\n"}, ["a.jpg"]
    )
    assert points(tmp_path, columns="x=PX,y=py,label=kind") == {"a.jpg": [HEADS[0]]}


def test_chosen_sizes_make_boxes(tmp_path):
    folder_of(tmp_path, {"annotations.csv": "bw,bh,left,top,image\n4,6,2,3,a.jpg\n"}, ["a.jpg"])
    split = train(tmp_path, columns="x=left,y=top,width=bw,height=bh")
    assert split.samples[0].boxes.tolist() == [[2, 3, 6, 9]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("x=cx,y=nowhere", "no column 'nowhere' that could be y; found 'photo', 'cx', 'cy'"),
        ("x=cx,y=4", "no column '4'"),
        ("x=cx,y", r"data\.columns: expected pairs such as"),
        ("x=cx,z=cy", r"data\.columns: expected one of image, x, y"),
        ("x=cx,x=cy", r"data\.columns: expected 'x' once"),
    ],
)
def test_columns_that_are_not_there_are_refused(tmp_path, columns, message):
    folder_of(tmp_path, {"annotations.csv": "photo,cx,cy\na.jpg,1,1\n"}, ["a.jpg"])
    with pytest.raises(UsageError, match=message):
        train(tmp_path, columns=columns)


def test_a_misspelt_column_is_suggested(tmp_path):
    folder_of(tmp_path, {"annotations.csv": "photo,centre_x,centre_y\na.jpg,1,1\n"}, ["a.jpg"])
    with pytest.raises(UsageError, match="Did you mean 'centre_x'"):
        train(tmp_path, columns="x=center_x,y=centre_y,image=photo")


def test_columns_of_what_has_no_table_are_refused(tmp_path):
    folder_of(tmp_path, {"a.txt": "1 1\n", "b.txt": ""})
    with pytest.raises(UsageError, match=r"names columns of a table; '.*' has no \.csv with them"):
        train(tmp_path, columns="x=cx,y=cy")
    with pytest.raises(UsageError, match="Expected no names of columns for format 'qnrf'"):
        list_splits(tmp_path, format="qnrf", columns="x=cx")


def test_a_table_of_something_else_beside_annotated_images_stays_unused(tmp_path):
    places = "file,lat,lon,altitude\na.jpg,1,2,3\n"
    folder_of(
        tmp_path, {"a.txt": "3.5 4\n10 2\n", "b.txt": "", "camera.csv": places, "counts.csv": "image,count\na,2\n"}
    )
    split = train(tmp_path)
    assert {sample.image.name: sample.points.tolist() for sample in split.samples} == ALL
    assert {path.name for path in split.problems.unused} == {"camera.csv", "counts.csv"}


def test_annotations_csv_comes_before_other_tables(tmp_path):
    folder_of(tmp_path, {"annotations.csv": ROWS, "backup.csv": ROWS.replace("10,2", "9,9"), "a.csv": "x,y\n1,1\n"})
    split = train(tmp_path)
    assert {sample.image.name: sample.points.tolist() for sample in split.samples} == ALL
    assert {path.name for path in split.problems.unused} == {"backup.csv", "a.csv"}


def test_a_lonely_table_under_other_names_is_recognised_to_be_refused_by_its_columns(tmp_path):
    folder_of(tmp_path, {"export.csv": "photo,cx,cy\na.jpg,1,1\n"}, ["a.jpg"])
    assert recognise(tmp_path) == "points"
    with pytest.raises(UsageError, match="image=photo,x=cx,y=cy"):
        list_splits(tmp_path)


def test_a_pipe_is_no_table(tmp_path):
    assert CSV.kind_of(tmp_path / "nothing.csv") is None


@pytest.mark.parametrize("suffix", ["JPG", "tif", "webp", "TIFF", "PNG", "Jpeg"])
def test_images_of_every_suffix_in_any_case_are_found_by_table_and_by_file(tmp_path, suffix):
    folder_of(
        tmp_path / "table", {"annotations.csv": f"image,x,y\nimg_1.{suffix.lower()},3.5,4\n"}, [f"IMG_1.{suffix}"]
    )
    folder_of(tmp_path / "file", {"IMG_1.txt": "3.5 4\n"}, [f"IMG_1.{suffix}"])
    for root in (tmp_path / "table", tmp_path / "file"):
        assert points(root) == {f"IMG_1.{suffix}": [[3.5, 4]]}


def test_names_that_differ_in_case_alone_are_told_apart_where_both_are_there(tmp_path):
    folder_of(tmp_path, {"annotations.csv": "image,x,y\na.jpg,3.5,4\nA.jpg,10,2\n"}, ["a.jpg", "A.jpg"])
    assert points(tmp_path) == {"a.jpg": [[3.5, 4]], "A.jpg": [[10, 2]]}


@pytest.mark.parametrize("header", ["image,x,y,x,y", "image,x,y,label,Label", "x,image,y,image", "image,x,y,w,h,w"])
def test_a_column_twice_in_a_header_is_refused(tmp_path, header):
    row = ",".join("a.jpg" if name == "image" else "3" for name in header.split(","))
    folder_of(tmp_path, {"annotations.csv": f"{header}\n{row}\n"}, ["a.jpg"])
    with pytest.raises(UsageError, match=r"line 1: expected each column once; found '(x|label|image|w)' 2 times"):
        train(tmp_path)


def test_a_column_twice_that_means_nothing_is_passed_over(tmp_path):
    folder_of(tmp_path, {"annotations.csv": "image,x,y,note,note\na.jpg,3,4,,\n"}, ["a.jpg"])
    assert points(tmp_path) == {"a.jpg": [[3, 4]]}


def test_sides_of_a_box_by_their_names_give_its_middle(tmp_path):
    folder_of(tmp_path, {"annotations.csv": "image,left,top,right,bottom\na.jpg,2,4,8,10\n"}, ["a.jpg"])
    assert points(tmp_path) == {"a.jpg": [[5, 7]]}


def test_a_table_is_told_whatever_the_length_of_its_name(tmp_path):
    table = tmp_path / f"{'a' * 251}.csv"  # no image can be called so, of a longer suffix
    table.write_text("")
    assert table_kind(table) is None
    with pytest.raises(UsageError, match=r"found some of 'b\.jpg'"):
        read_csv_of_one_image(folder_of(tmp_path / "two", {"b.csv": "image,x,y\nb.png,1,2\nb.jpg,1,2\n"}) / "b.csv")
