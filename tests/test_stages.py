import os
import pty
import sys
from contextlib import suppress

import pytest

from stdsearch.cli.progress import shown_stages
from stdsearch.stages import in_turn


def test_what_is_behind_is_told_by_weight() -> None:
    told: list[tuple[str, float | None]] = []
    items = in_turn("abc", "Reading", lambda *stage: told.append(stage), weights=[1, 0, 3])
    assert told == []
    assert list(items) == ["a", "b", "c"]
    assert told == [("Reading", share) for share in (0, 0.25, 0.25, 1)]


def test_work_of_no_weight_is_done() -> None:
    told: list[float | None] = []
    list(in_turn("ab", "Reading", lambda what, share: told.append(share), weights=[0, 0]))
    assert told == [1, 1, 1]


def test_each_item_has_a_weight() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(in_turn("abc", "Reading", lambda *stage: None, weights=[1, 1]))


def test_a_terminal_shows_the_last_stage_and_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with shown_stages() as on_stage:
            on_stage("Learning", None)
            on_stage("Filling", 0.25)
            on_stage("Filling", 0.5)
    shown = _read_all(ours)
    assert "50%" in shown
    assert "Learning" not in shown.split("50%")[-1]
    assert shown.endswith("\x1b[2K")  # the line is cleared


def _read_all(terminal: int) -> str:
    """What was written to a terminal whose other end is closed; one read gives only what has arrived so far."""
    read = bytearray()
    with suppress(OSError):  # how Linux says that no more will come; others give nothing
        while some := os.read(terminal, 1 << 16):
            read += some
    os.close(terminal)
    return read.decode()


def test_elsewhere_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_stages() as on_stage:
        on_stage("Filling", 0.5)
    assert capsys.readouterr() == ("", "")
