"""What is seen of the machine that this runs on."""

import pytest

from sam_mprompt.planning import machine


@pytest.mark.parametrize(
    ("names", "able"), [({"avx512_bf16", "sse"}, True), ({"bf16"}, False), ({"avx512f"}, False), (set(), False)]
)
def test_a_processor_multiplies_bfloat16_by_instructions_of_its_own(monkeypatch, names, able):
    monkeypatch.setattr(machine, "instructions", lambda: frozenset(names))
    assert machine.this_machine().bfloat16 is able
