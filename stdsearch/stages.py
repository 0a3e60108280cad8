"""Stages of work that takes long, told while it is done to whoever may show them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

OnStage = Callable[[str, float | None], None]
"""Told what is being done, and the share of it that is done, from 0 to 1, None where nobody knows."""


def unseen(what: str, share: float | None) -> None:
    """Shows nothing."""


def in_turn(items: Iterable[_Item], what: str, on_stage: OnStage, *, weights: Sequence[float]) -> Iterator[_Item]:
    """The items, of each of which one weight tells how much work it is; what is behind is told."""
    total, done = sum(weights), 0.0
    on_stage(what, 0.0 if total else 1.0)
    for item, weight in zip(items, weights, strict=True):
        yield item
        done += weight
        on_stage(what, done / total if total else 1.0)
