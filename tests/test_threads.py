import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import faiss
import numba
import pytest
import torch
from threadpoolctl import threadpool_info

from stdsearch.threads import given_threads, n_threads, set_threads, shared_out


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    set_threads(before)


def threads_taken() -> tuple[int, int, int, int]:
    (of_numpy,) = [pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"]]
    return torch.get_num_threads(), faiss.omp_get_max_threads(), numba.get_num_threads(), of_numpy


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_items", [0, 1, 7])
def test_results_come_in_the_order_of_the_items_and_each_takes_one_thread(n_threads: int, n_items: int) -> None:
    def work(item: int) -> tuple[int, tuple[int, int, int, int]]:
        time.sleep(0.01 * (item % 2 == 0))  # every other one takes longer
        return item, threads_taken()

    set_threads(n_threads)
    before = threads_taken()
    assert list(shared_out(work, iter(range(n_items)))) == [(item, (1, 1, 1, 1)) for item in range(n_items)]
    assert threads_taken() == before


def test_each_pool_gets_back_what_it_had() -> None:
    set_threads(2)
    torch.set_num_threads(1)
    before = threads_taken()
    assert before[0] != before[-1]
    assert list(shared_out(str, range(3))) == ["0", "1", "2"]
    assert threads_taken() == before
    with given_threads(1):
        assert threads_taken() == (1, 1, 1, 1)
    assert threads_taken() == before


def test_to_ask_changes_nothing() -> None:
    """In a process of its own, where numba was not started yet."""
    script = (
        "import faiss, stdsearch.threads as t; faiss.omp_set_num_threads(1); "
        "print(t.n_threads(), faiss.omp_get_max_threads())"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1", "1"]


def test_two_items_are_worked_on_at_a_time_and_few_are_taken_ahead() -> None:
    both, taken = threading.Barrier(2, timeout=10), []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    set_threads(2)
    results = shared_out(lambda item: both.wait() >= 0, items())  # fails unless another one waits too
    assert next(results)
    assert len(taken) <= 4
    assert all(results)


def test_what_goes_wrong_is_raised_and_threads_are_given_back() -> None:
    def fail(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    set_threads(2)
    before, results = threads_taken(), shared_out(fail, range(9))
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert threads_taken() == before


def test_uses_that_overlap_give_threads_back_whichever_ends_first() -> None:
    set_threads(2)
    before = threads_taken()
    first, second = shared_out(abs, range(4)), shared_out(abs, range(4))
    next(first), next(second)
    assert n_threads() == 2
    list(first)
    list(second)
    assert threads_taken() == before


def test_threads_of_ones_own_may_share_out_at_once() -> None:
    both = threading.Barrier(2, timeout=10)

    def use() -> None:
        results = shared_out(abs, range(4))
        next(results)
        both.wait()
        list(results)

    set_threads(2)
    before, own = threads_taken(), [threading.Thread(target=use) for _ in range(2)]
    for thread in own:
        thread.start()
    for thread in own:
        thread.join()
    assert (n_threads(), threads_taken()) == (2, before)
