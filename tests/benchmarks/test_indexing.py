from pathlib import Path

import indexing
import numpy as np
import pytest
import soundfile
from indexing import Clock, Inline, join

from stdsearch.audio import SAMPLE_RATE, write_wav


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock by which every look at the time takes a second."""
    ticks = iter(range(1000))
    monkeypatch.setattr("time.thread_time", lambda: float(next(ticks)))
    return Clock()


def test_a_stage_inside_another_is_counted_once(clock: Clock) -> None:
    inner = clock.around("span head", lambda: 1)
    outer = clock.around("network", lambda: inner() + inner())
    assert outer() == 2
    assert clock.seconds["span head"] == 2
    assert clock.seconds["network"] == 5 - 2


def test_the_steps_of_a_generator_are_its_time(clock: Clock) -> None:
    blocks = clock.around("decoding", lambda n: (i for i in range(n)))
    assert list(blocks(3)) == [0, 1, 2]
    assert clock.seconds["decoding"] == 5  # the call, three steps, and the one that ends


def test_every_stage_is_a_call_that_there_is() -> None:
    for owner, name in indexing.STAGES.values():
        assert callable(getattr(owner, name)), name


def test_work_is_done_inline() -> None:
    done: list[int] = []
    with Inline(4) as pool:
        future = pool.submit(done.append, 7)
        assert done == [7]
        assert future.result() is None


def test_recordings_are_joined_and_repeated_to_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FILE_SECONDS", 6)
    (tmp_path / "audio").mkdir()
    sound = np.linspace(-0.5, 0.5, SAMPLE_RATE)
    write_wav(tmp_path / "audio" / "a.wav", sound)
    seconds = join(tmp_path / "audio", tmp_path / "flac", hours=12 / 3600)
    assert seconds == 12
    first, last = (soundfile.read(path)[0] for path in sorted((tmp_path / "flac").iterdir()))
    assert len(first) == len(last) == 6 * SAMPLE_RATE
    assert first[: len(sound)] == pytest.approx(sound, abs=1e-3)
    assert last == pytest.approx(first)
