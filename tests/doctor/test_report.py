"""Reports are published: what names their writer is not in them."""

from pathlib import Path

import pytest

from sam_mprompt.doctor.report import anonymous

ALICE = {"home": Path("/home/alice"), "user": "alice", "machine": "alices-laptop"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/alice/.cache/sam-mprompt", "~/.cache/sam-mprompt"),
        ("cannot write '/home/alice'", "cannot write '~'"),
        ("/home/alice2/x", "/home/alice2/x"),
        ("/data/alice/photos:/mnt/alice", "/data/USER/photos:/mnt/USER"),
        ("C:\\Users\\alice\\x", "C:\\Users\\USER\\x"),
        ("the numbers of alice in wonderland", "the numbers of alice in wonderland"),
        ("on alices-laptop, port 3", "on MACHINE, port 3"),
        ("https://alice:secret@hub.example/x", "https://(left out)@hub.example/x"),
        ("hf_abcdefgh12345 refused", "(left out) refused"),
        ("Authorization: Bearer abc.def", "Authorization: (left out)"),
        ("token=abc", "(left out)"),
        ("torch 2.14, 8 tokens", "torch 2.14, 8 tokens"),
    ],
)
def test_home_user_machine_and_secrets_are_left_out_and_nothing_else(text, shown):
    assert anonymous(text, **ALICE) == shown


def test_a_user_called_as_a_common_folder_changes_no_path():
    common = {"home": Path("/root"), "user": "root", "machine": "localhost"}
    assert anonymous("/opt/root/x on localhost", **common) == "/opt/root/x on localhost"
    assert anonymous("/root/x", **common) == "~/x"
