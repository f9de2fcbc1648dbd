"""Variables of ours are told, others that matter, and of secrets only that they are set."""

from sam_mprompt.doctor.variables import variables


def test_ours_come_first_and_what_does_not_matter_is_left_out():
    set_here = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "SAM_MPROMPT_DATA": "/data",
        "SAM_MPROMPT_NEW": "",
        "LC_ALL": "C",
    }
    assert list(variables(set_here).rows.items()) == [
        ("SAM_MPROMPT_DATA", "/data"),
        ("SAM_MPROMPT_NEW", "empty"),
        ("OMP_NUM_THREADS", "2"),
        ("LC_ALL", "C"),
    ]
    assert variables({}).rows == {"none": "is set"}


def test_neither_a_token_nor_an_address_is_shown():
    told = variables(
        {"SAM_MPROMPT_TOKEN": "abc", "HF_TOKEN": "hf_x", "MASTER_ADDR": "host", "HF_ENDPOINT": "http://u:p@h"}
    )
    assert told.rows == {
        "SAM_MPROMPT_TOKEN": "set, not shown",
        "HF_TOKEN": "set, not shown",
        "HF_ENDPOINT": "set",
        "MASTER_ADDR": "set",
    }


def test_a_folder_in_the_home_folder_is_shown_from_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert variables({"SAM_MPROMPT_CACHE": f"{tmp_path}/cache"}).rows == {"SAM_MPROMPT_CACHE": "~/cache"}
