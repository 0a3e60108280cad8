"""Hard negatives out of the memory bank (PLCL, arXiv 2412.20805, II-B): a few phonemes of what was said are changed.

The edits are drawn beforehand and written down as where each step of the changed audio comes from, so that the
network's vectors and the bank's, which change while training, are only looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stdsearch.phones import SYMBOLS

N_SYMBOLS = len(SYMBOLS)
INSERTED_STEPS = (3, 7)  # 60 to 120 ms, as most phones last


@dataclass(frozen=True, slots=True)
class Edit:
    """A change at one phone: `phone`, an index into SYMBOLS, is put in its place, or before it for so many steps."""

    kind: Literal["insert", "replace", "delete"]
    place: int
    phone: int = 0
    steps: int = 0


def draw_edits(phones: Sequence[int], n: int, random: np.random.Generator) -> list[Edit]:
    """At most n edits, at different phones and in order, which make another phone string of this one."""
    while True:
        places = np.sort(random.choice(len(phones), size=min(n, len(phones)), replace=False)).tolist()
        edits = [_draw(phones, place, random) for place in places]
        changed = edited_phones(phones, edits)
        if changed and changed != list(phones):
            return edits


def _draw(phones: Sequence[int], place: int, random: np.random.Generator) -> Edit:
    kind = ("insert", "replace", "delete")[random.integers(3)]
    if kind == "delete":
        return Edit("delete", place)
    phone = int(random.integers(1, N_SYMBOLS - (kind == "replace")))
    if kind == "insert":
        return Edit("insert", place, phone, int(random.integers(*INSERTED_STEPS)))
    return Edit("replace", place, phone + (phone >= phones[place]))


def edited_phones(phones: Sequence[int], edits: Sequence[Edit]) -> list[int]:
    """The phones after the edits."""
    changed, by_place = [], {edit.place: edit for edit in edits}
    for place, phone in enumerate(phones):
        edit = by_place.get(place)
        if edit is not None and edit.kind != "delete":
            changed.append(edit.phone)
        if edit is None or edit.kind == "insert":
            changed.append(phone)
    return changed


def edited_steps(spans: np.ndarray, n_steps: int, edits: Sequence[Edit]) -> np.ndarray:
    """Where the steps (m,) of the changed audio come from.

    spans: (L, 2) the steps [begin, end) of each phone, in order. A number below N_SYMBOLS is a symbol, whose vector
    the bank gives; any other, less N_SYMBOLS, is one of the n_steps of the unchanged audio.
    """
    source, done = [], 0
    steps = np.arange(N_SYMBOLS, N_SYMBOLS + n_steps)
    for edit in edits:
        begin, end = spans[edit.place].tolist()
        source.append(steps[done:begin])
        if edit.kind == "insert":
            source.append(np.full(edit.steps, edit.phone))
            done = begin
        else:
            if edit.kind == "replace":
                source.append(np.full(end - begin, edit.phone))
            done = end
    return np.concatenate([*source, steps[done:]])
