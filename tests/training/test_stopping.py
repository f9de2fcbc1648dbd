import os
import signal

import pytest

from sam_mprompt.training.stopping import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop_and_the_former_handler_comes_back(number):
    before, said = signal.getsignal(number), []
    with stop_on_signals(said.append) as request:
        assert not request.asked
        os.kill(os.getpid(), number)
        assert request.asked
    assert len(said) == 1
    assert signal.getsignal(number) is before
