"""A function run over items in worker processes, where a crash in C code costs one item and no more."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_UNCAUGHT = 1  # the exit code of a Python process that ends with a traceback

_PROCESSES = multiprocessing.get_context("spawn")  # fork would copy the locks of the parent's threads


@dataclass(frozen=True, slots=True)
class Crashed:
    """Stands for the result of an item whose worker died; the code is minus the signal's number."""

    exit_code: int


class _Worker(Generic[Item, Result]):
    """A process that runs the function on one item at a time."""

    def __init__(self, make: Callable[[], Callable[[Item], Result]]) -> None:
        self.connection, theirs = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(target=_serve, args=(make, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.position = -1

    def give(self, position: int, item: Item) -> None:
        self.position = position
        with contextlib.suppress(BrokenPipeError):  # it has died: receive() tells
            self.connection.send(item)

    def receive(self) -> Result | Crashed:
        try:
            result: Result = self.connection.recv()
            return result
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode or 0
            if code == _UNCAUGHT:
                raise RuntimeError("a worker process ended with the traceback above") from None
            return Crashed(code)

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def map_isolated(
    make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], *, jobs: int
) -> Generator[tuple[int, Result | Crashed], None, None]:
    """(position, result) of each item, in the order in which they finish.

    `make` and the items must be picklable; each worker calls `make` once and runs what it returns. An exception in it
    is a bug: its traceback appears on stderr and RuntimeError is raised here.
    """
    queue = enumerate(items)
    busy: dict[Connection, _Worker[Item, Result]] = {}

    def give_next(worker: _Worker[Item, Result] | None) -> None:
        following = next(queue, None)
        if following is not None:
            worker = worker or _Worker(make)
            busy[worker.connection] = worker
            worker.give(*following)
        elif worker:
            worker.stop()

    try:
        for _ in range(jobs):
            give_next(None)
        while busy:
            for connection in wait(list(busy)):
                worker = busy.pop(connection)  # type: ignore[call-overload]
                position, result = worker.position, worker.receive()
                if isinstance(result, Crashed):
                    worker.stop()
                give_next(None if isinstance(result, Crashed) else worker)
                yield position, result
    finally:
        for worker in busy.values():
            worker.stop()


def _serve(make: Callable[[], Callable[[Any], Any]], connection: Connection) -> None:
    """A worker's life: Ctrl-C is the parent's to handle, the end of the pipe is the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    function = make()
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        connection.send(function(item))
