from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.memory import fits, two_steps


@given(first=st.integers(1, 2**33), each=st.integers(1, 2**33), gib=st.integers(1, 32))
def test_the_largest_batch_fits_and_one_more_does_not(first, each, gib):
    batch = fits(first, first + each, gib)
    needed = [first + (n - 1) * each for n in (batch, batch + 1)]
    assert batch == 0 or needed[0] <= gib * 2**30
    assert needed[1] > gib * 2**30


def test_what_is_measured_trains_with_and_without_recomputed_blocks(tiny_base):
    for recompute in (False, True):
        two_steps(64, 1, recompute, str(tiny_base))
