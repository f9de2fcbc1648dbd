import pytest

from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.columns import parse_columns
from sam_mprompt.recipe.schema import load_recipe


def test_columns_are_pairs_in_any_case_with_blanks_and_numbers():
    assert parse_columns(" X = Col (px) , y=2,image=photo") == {"x": "Col (px)", "y": "2", "image": "photo"}
    assert parse_columns("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "expected pairs such as"),
        ("x=", "expected pairs such as"),
        ("x=a,", "expected pairs such as"),
        ("lable=a", "expected one of .* Did you mean 'label'"),
        ("x=a,X=b", "expected 'x' once"),
    ],
)
def test_what_says_no_columns_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_columns(text)


def test_a_recipe_with_columns_that_say_nothing_cannot_be_written():
    assert load_recipe("shb", ["data.columns=x=cx,y=cy,image=photo"]).data.columns == "x=cx,y=cy,image=photo"
    with pytest.raises(UsageError, match=r"data\.columns: expected pairs such as"):
        load_recipe("shb", ["data.columns=x"])
