import multiprocessing
import signal
from functools import partial

import pytest

from train.prepare.workers import Crashed, map_isolated

POWER_OF_TWO = partial(partial, pow, 2)  # makes a function that worker processes can import
RAISE_SIGNAL = partial(partial, signal.raise_signal)


def test_every_item_gets_its_result():
    assert sorted(map_isolated(POWER_OF_TWO, range(20), jobs=2)) == [(n, 2**n) for n in range(20)]
    assert list(map_isolated(POWER_OF_TWO, [], jobs=2)) == []


def test_a_crash_costs_one_item():
    harmless = signal.SIGCHLD  # does nothing to a process, and SIGINT is left to the parent
    items = [harmless, signal.SIGSEGV, harmless, signal.SIGINT, signal.SIGKILL, harmless]
    results = dict(map_isolated(RAISE_SIGNAL, items, jobs=1))
    crashes = {1: Crashed(-signal.SIGSEGV), 4: Crashed(-signal.SIGKILL)}
    assert results == {n: crashes.get(n) for n in range(6)}


def test_an_exception_is_a_bug_and_keeps_its_traceback(capfd):
    with pytest.raises(RuntimeError, match="traceback above"):
        list(map_isolated(POWER_OF_TWO, ["two"], jobs=1))
    assert "unsupported operand" in capfd.readouterr().err


def test_no_worker_outlives_the_iteration():
    results = map_isolated(POWER_OF_TWO, range(100), jobs=2)
    next(results)
    assert multiprocessing.active_children()
    results.close()
    assert not multiprocessing.active_children()
