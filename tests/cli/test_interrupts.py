import contextlib
import signal

import pytest

from tftransfer.cli.interrupts import interrupts_kept


def test_an_interrupt_that_was_dropped_comes_at_the_end_of_the_epoch():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_kept() as (callback,):
        callback.on_epoch_end(0)
        with contextlib.suppress(KeyboardInterrupt):  # as a finalizer does
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            callback.on_epoch_end(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_still_comes_at_once_where_it_can():
    with interrupts_kept(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
