import os
import signal
import threading

import pytest

from sam_mprompt.training.stopping import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_the_former_handler_comes_back(number):
    before, said = signal.getsignal(number), []
    with stop_on_signals(said.append) as request:
        assert not request.asked
        os.kill(os.getpid(), number)
        assert request.asked
    assert len(said) == 1
    assert signal.getsignal(number) is before


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(lambda _: None) as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_training_in_another_thread_runs_and_hears_no_signal():
    found = []

    def train():
        with stop_on_signals(lambda _: None) as request:
            found.append(request.asked)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [False]
