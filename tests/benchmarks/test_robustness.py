from pathlib import Path

import numpy as np
import pytest
from conditions import Condition, unchanged
from report import _interval as interval_of
from robustness import join, kept, recordings, sample, spoil
from speakers import by_speaker
from std_task import Task, report

from stdsearch.audio import SAMPLE_RATE, probe, read, write_wav
from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.formats.kwlist import KWList
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList
from stdsearch.formats.rttm import RTTMRow
from stdsearch.types import Spoken, Term

SECONDS = {"readers/anna/one": 2.0, "readers/bo/two": 150.0, "callers/cleo/three": 3.0}
SAID = {"one": [(0.5, "light")], "two": [(1.0, "light"), (100.0, "table")], "three": [(2.0, "table")]}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Three recordings, of which each sample tells how many came before; two terms, one with an example."""
    excerpts, rttm = [], []
    for i, (name, seconds) in enumerate(SECONDS.items()):
        path = tmp_path / "audio" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, np.full(round(seconds * SAMPLE_RATE), (i + 1) / 10))
        excerpts.append(Excerpt(f"audio/{name}.wav", 1, 0.0, seconds, "bnews"))
        rttm += [RTTMRow("LEXEME", path.stem, 1, t, 0.5, w, "lex", path.parent.name, None) for t, w in SAID[path.stem]]
    terms = tuple(Term(f"KW-{i}", text) for i, text in enumerate(("light", "table")))
    folder = tmp_path / "task"
    folder.mkdir()
    return Task(
        folder, ECF(tuple(excerpts), 155.0, "english", "1"), rttm, KWList(terms), {"KW-1": (Spoken(Path("x.wav")),)}
    )


def test_one_long_file_holds_the_recordings_and_the_reference_moves_with_them(task: Task, tmp_path: Path) -> None:
    moved = join(task, recordings(task), tmp_path / "out")
    waveform = read(tmp_path / "out" / "joined.wav")
    assert len(waveform) == round(155.0 * SAMPLE_RATE)
    assert moved.ecf.excerpts[0].dur == 155.0
    assert [(row.file, row.tbeg, row.ortho) for row in moved.rttm] == [
        ("joined", 0.5, "light"), ("joined", 3.0, "light"), ("joined", 102.0, "table"), ("joined", 154.0, "table"),
    ]  # fmt: skip
    assert len({row.name for row in moved.rttm}) == 3  # no term spans two recordings of one speaker
    heard = [waveform[round(row.tbeg * SAMPLE_RATE)] for row in moved.rttm]
    np.testing.assert_allclose(heard, [0.1, 0.2, 0.2, 0.3], atol=1e-3)


def test_spoilt_recordings_keep_their_names(task: Task, tmp_path: Path) -> None:
    kbits = spoil(recordings(task), Condition("clean", unchanged), tmp_path / "out", 0)
    assert {str(p.relative_to(tmp_path / "out" / "audio")) for p in (tmp_path / "out").rglob("*.wav")} == {
        f"{name}.wav" for name in SECONDS
    }
    assert probe(tmp_path / "out/audio/readers/bo/two.wav").duration == 150.0
    assert kbits == pytest.approx(32 * 16, rel=0.01)


def test_the_same_seed_draws_the_same_noise_whatever_the_condition(task: Task, tmp_path: Path) -> None:
    def draw(scale: float) -> list[float]:
        drawn: list[float] = []
        condition = Condition("drawn", lambda speech, random: drawn.append(random.random()) or scale * speech.waveform)
        spoil(recordings(task), condition, tmp_path / str(scale), 7)
        return drawn

    assert draw(1.0) == draw(0.5)
    assert len(set(draw(1.0))) == 3


def test_terms_are_sampled_among_those_that_a_system_can_be_asked_for(task: Task) -> None:
    assert sample(task, "text", 1, 0) == sample(task, "text", 1, 0)
    assert len(sample(task, "text", 1, 0)) == 1
    assert sample(task, "text", None, 0) == sample(task, "text", 9, 0) == {"KW-0", "KW-1"}
    assert sample(task, "audio1", 9, 0) == {"KW-1"}


def found(*hits: tuple[str, str, float, float]) -> KWSList:
    """A KWSList of hits (kwid, file, tbeg, score), all YES."""
    lists = {kwid: [hit for hit in hits if hit[0] == kwid] for kwid in ("KW-0", "KW-1")}
    return KWSList(
        tuple(
            DetectedTerm(
                kwid,
                0.0,
                0,
                Hits.from_columns(
                    [hit[1] for hit in of_term],
                    [1] * len(of_term),
                    [hit[2] for hit in of_term],
                    [0.5] * len(of_term),
                    [hit[3] for hit in of_term],
                    [True] * len(of_term),
                ),
            )
            for kwid, of_term in lists.items()
        )
    )


GOOD = found(
    ("KW-0", "one", 0.5, 0.9), ("KW-0", "two", 1.0, 0.8), ("KW-1", "two", 100.0, 0.7), ("KW-1", "three", 2.0, 0.6)
)
WORSE = found(("KW-0", "one", 0.5, 0.9), ("KW-1", "two", 100.0, 0.7), ("KW-1", "three", 0.0, 0.8))


def test_what_is_lost_is_the_difference_to_the_clean_recordings(task: Task) -> None:
    kwids = {"KW-0", "KW-1"}
    clean, spoilt = report(task, GOOD, kwids), report(task, WORSE, kwids)
    assert clean.summary.map == 1.0
    lost = kept(spoilt, clean)["lost"]
    assert lost["map"][0] == pytest.approx(1.0 - spoilt.summary.map, abs=1e-4)
    assert lost["map"][1] <= lost["map"][0] <= lost["map"][2]
    assert kept(clean, clean)["lost"]["mtwv"] == [0.0, 0.0, 0.0]


def test_speakers_are_scored_in_their_own_recordings(task: Task) -> None:
    rows = {(row["corpus"], row["speaker"]): row for row in by_speaker(task, WORSE)}
    assert set(rows) == {("readers", ""), ("callers", ""), ("readers", "bo")}  # the others speak too briefly
    assert rows["readers", ""]["speakers"] == 2
    assert rows["readers", "bo"]["seconds"] == 150
    assert rows["readers", "bo"]["targets"] == 2
    assert rows["readers", "bo"]["map"] == 0.5  # light is missed, table is found
    assert rows["callers", ""]["map"] == 0.0


def test_a_group_that_cannot_be_scored_is_left_out(task: Task) -> None:
    rows = by_speaker(task, found(("KW-0", "two", 1.0, 0.8)))
    assert [(row["corpus"], row["speaker"]) for row in rows] == [("readers", ""), ("readers", "bo")]


def test_what_is_undefined_is_none_and_shown_as_a_dash(task: Task) -> None:
    """MTWV in draws that only have the term without a hit."""
    scored = report(task, found(("KW-0", "two", 1.0, 0.8)), {"KW-0", "KW-1"})
    part = kept(scored, scored)
    assert part["interval_95"]["mtwv"] == [None, None]
    assert part["lost"]["mtwv"] == [0.0, None, None]
    assert interval_of(part) == "–"
