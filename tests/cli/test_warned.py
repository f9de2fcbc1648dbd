import warnings

import pytest

from sam_mprompt.cli.warned import plain_warnings
from sam_mprompt.errors import DimImageWarning, RecipeWarning


def dim(*names):
    for name in names:
        warnings.warn(f"Image '{name}' uses 12 of its 16 bits", DimImageWarning, stacklevel=1)


def test_one_dim_image_is_one_line_that_says_what_to_do(capsys):
    with plain_warnings():
        dim("a.png", "a.png")
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("sam-mprompt: Image 'a.png' uses 12 of its 16 bits --stretch scales")


def test_of_many_the_first_is_shown_at_once_and_the_others_are_counted_however_it_ends(capsys):
    def work():
        dim("a.png")
        assert "a.png" in capsys.readouterr().err
        dim("b.png", "c.png", "b.png")
        assert capsys.readouterr().err == ""
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), plain_warnings():
        work()
    assert capsys.readouterr().err == "sam-mprompt: 2 other images are as dark for their bits.\n"


def test_a_name_in_a_warning_commands_no_terminal(capsys):
    with plain_warnings():
        dim("a\x1b[2J.png")
    assert "\x1b" not in capsys.readouterr().err


def test_every_warning_about_a_recipe_is_a_line_and_those_of_others_stay(capsys):
    def work():
        warnings.warn("old key", RecipeWarning, stacklevel=1)
        warnings.warn("older key", RecipeWarning, stacklevel=1)
        warnings.warn("theirs", ResourceWarning, stacklevel=1)

    with pytest.warns(ResourceWarning, match="theirs"), plain_warnings():
        work()
    assert capsys.readouterr().err == "sam-mprompt: old key\nsam-mprompt: older key\n"
