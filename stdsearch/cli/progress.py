"""Bars of progress on the standard error, which show only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stdsearch.stages import OnStage

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


def bars(*columns: "str | ProgressColumn") -> "Progress":
    """Bars that leave nothing behind, with the columns that rich gives them, or others."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def stages_on(progress: "Progress", **fields: Any) -> OnStage:
    """What shows each stage as the last bar, in place of the one before; fields: what the columns ask for besides."""
    shown: str | None = None
    task: TaskID | None = None

    def show(what: str, share: float | None) -> None:
        nonlocal shown, task
        if what != shown:
            if task is not None:
                progress.remove_task(task)
            shown, task = what, progress.add_task(what, total=None if share is None else 1.0, **fields)
        if task is not None and share is not None:
            progress.update(task, completed=share)

    return show


@contextmanager
def shown_stages() -> Iterator[OnStage]:
    """Inside, the stages that are told are shown."""
    with bars() as progress:
        yield stages_on(progress)
