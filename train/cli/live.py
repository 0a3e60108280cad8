"""What `stdsearch train RECIPE` shows while it runs: a table that lives in a terminal, plain lines anywhere else."""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stdsearch.errors import StdSearchError
from train.manifest import Utterance

SHOWN = 12  # lines of the log


class Live:
    """A progress bar above the latest lines of the log; with tensorboard, all of them as events in OUT."""

    def __init__(self, name: str, out: Path, *, tensorboard: bool) -> None:
        self.name = name
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.lines: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self.writer = _event_writer(out) if tensorboard else None
        self._screen = RichLive(self._rendered(), console=self.console) if self.console.is_terminal else None

    def __enter__(self) -> "Live":
        if self._screen:
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen:
            self._screen.stop()
        if self.writer:
            self.writer.close()

    def reading(self, items: Sequence[Utterance]) -> Iterable[Utterance]:
        """The items, with a bar that tells how many were read."""
        return self.progress.track(items, description="Reading audio")

    def start(self, steps: int) -> None:
        """Training begins."""
        self._bar = self.progress.add_task(f"Training {self.name}", total=steps)

    def report(self, line: dict[str, Any]) -> None:
        """Show a line of the log."""
        self.progress.update(self._bar, completed=line["step"])
        self.lines.append(line)
        if self.writer:
            for name, value in line.items():
                self.writer.add_scalar(name, value, line["step"])
        if self._screen:
            self._screen.update(self._rendered())
        else:
            self.console.print("  ".join(f"{name} {value:g}" for name, value in line.items()), highlight=False)

    def _rendered(self) -> Group:
        names = list(dict.fromkeys(name for line in self.lines for name in line))
        table = Table(box=None)
        for name in names:
            table.add_column(name, justify="right")
        for line in self.lines:
            table.add_row(*(f"{line[name]:g}" if name in line else "" for name in names))
        return Group(self.progress, table)


def _event_writer(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise StdSearchError(f"--tensorboard needs a package ({error}); pip install 'stdsearch[tensorboard]'") from None
    return SummaryWriter(str(out))
