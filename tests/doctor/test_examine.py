from sam_mprompt.doctor import examine
from sam_mprompt.doctor.software import WHOLE


def test_a_subject_that_cannot_be_examined_hides_no_other(monkeypatch):
    def fails():
        raise RuntimeError("no\nsuch thing")

    monkeypatch.setattr(examine, "machine", fails)
    monkeypatch.setattr(examine, "versions", lambda _: examine.Section("Versions", {}))
    sections = list(examine.examine(WHOLE))
    assert [section.title for section in sections] == ["Versions", "Extras", "Machine", "Disks", "Variables"]
    assert sections[2].rows == {"not known": "RuntimeError: no such thing"}
    assert [problem.stops for problem in sections[2].problems] == [False]
