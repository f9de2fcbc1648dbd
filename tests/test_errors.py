from sam_mprompt.errors import did_you_mean, listed


def test_a_near_name_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("epocs", ["epochs", "lr"]) == " Did you mean 'epochs'?"
    assert did_you_mean("zzz", ["epochs", "lr"]) == ""


def test_long_lists_are_sorted_and_cut_after_eight():
    assert listed(["b", "a"]) == "a, b"
    assert listed(map(str, range(10))) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
