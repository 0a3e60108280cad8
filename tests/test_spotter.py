from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.calibrate import Calibration, Logistic, to_json
from stdsearch.encoder import SpanEncoder, load_encoder
from stdsearch.enrol import enrol
from stdsearch.pronounce import Pronouncer
from stdsearch.rescore import Query
from stdsearch.spotter import Detection, Spotter, SpotterSettings
from stdsearch.types import Spoken
from stdsearch.verifier import Verifier, VerifierSettings
from tests.conftest import babble

TBEG, TEND = 6.2, 6.84  # where in the stream the example is
CONTEXT = Logistic(("odds",), (0.0,), (1.0,), (1.0,), 0.0)


def calibration() -> str:
    """By which any text may be anywhere, and where there is an example the DTW path tells: even odds at 0.99."""
    near = Logistic(("first", "dtw"), (0.9, 0.99), (0.05, 0.003), (0.0, 3.0), 0.0)
    anywhere = Logistic(("first",), (0.0,), (1.0,), (1.0,), 0.0)
    path = replace(near, centre=(0.0, 0.99), spread=(1.0, 0.003))
    of_mode = {"text": anywhere, "audio": near, "both": path}
    return to_json({mode: Calibration(own, CONTEXT) for mode, own in of_mode.items()})


@pytest.fixture
def listener(encoder_file: Path) -> SpanEncoder:
    encoder = load_encoder(encoder_file)
    encoder.metadata = {"calibration": calibration()}
    return encoder


@pytest.fixture(scope="module")
def stream() -> np.ndarray:
    return babble(15, seed=7).astype(np.float32)


@pytest.fixture
def query(listener: SpanEncoder, stream: np.ndarray, tmp_path: Path) -> Query:
    write_wav(tmp_path / "stream.wav", stream)
    return enrol("", [Spoken(tmp_path / "stream.wav", TBEG, TEND)], listener, Pronouncer(), longest=1.6)


def listen(spotter: Spotter, stream: np.ndarray, n_samples: int) -> list[tuple[int, Detection]]:
    """What is found in blocks of n_samples, each with how many samples had come by then; -1 after the end."""
    found = []
    for at in range(0, len(stream), n_samples):
        block = stream[at : at + n_samples].copy()
        found += [(at + len(block), detection) for detection in spotter.feed(block)]
        block[:] = 0  # a caller may use its buffer again
    return found + [(-1, detection) for detection in spotter.finish()]


def test_a_sound_of_the_stream_is_found_where_it_is(listener: SpanEncoder, query: Query, stream: np.ndarray) -> None:
    (detection,) = [detection for _, detection in listen(Spotter({"word": query}, listener), stream, 1600)]
    assert detection.keyword == "word"
    assert (detection.tbeg, detection.tend) == pytest.approx((TBEG, TEND), abs=0.05)
    assert 0.5 < detection.score <= 1


def test_it_is_reported_within_a_second_of_its_end(listener: SpanEncoder, query: Query, stream: np.ndarray) -> None:
    ((n_samples, detection),) = listen(Spotter({"word": query}, listener), stream, 160)
    assert 0 < n_samples / SAMPLE_RATE - detection.tend < 1


@pytest.mark.parametrize("hop", [0.24, 5.0])
def test_how_the_stream_is_cut_has_no_say(listener: SpanEncoder, query: Query, stream: np.ndarray, hop: float) -> None:
    """A text finds something in every window with an encoder that was never calibrated for it."""
    text = enrol("star", (), listener, Pronouncer(), longest=1.6)
    settings = SpotterSettings(hop=hop, past=4.0, threshold=0.0)

    def detections(n_samples: int) -> list[Detection]:
        spotter = Spotter({"word": query, "star": text}, listener, settings=settings)
        return [detection for _, detection in listen(spotter, stream, n_samples)]

    whole = detections(len(stream))
    assert {detection.keyword for detection in whole} == {"word", "star"}
    assert all(detections(n_samples) == whole for n_samples in (160, 16001))


def test_detections_of_a_keyword_do_not_overlap(listener: SpanEncoder, stream: np.ndarray) -> None:
    text = enrol("star", (), listener, Pronouncer(), longest=1.6)
    settings = SpotterSettings(past=4.0, threshold=0.0)
    places = [d for _, d in listen(Spotter({"star": text}, listener, settings=settings), stream, 4000)]
    assert len(places) > 10
    for a in places:
        assert not [b for b in places if a is not b and b.tbeg + 1e-6 < (a.tbeg + a.tend) / 2 < b.tend - 1e-6]
        assert 0 <= a.tbeg < a.tend <= len(stream) / SAMPLE_RATE


def test_of_overlapping_places_the_best_is_reported_once(
    listener: SpanEncoder, stream: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks bring: a middling place, a better one that overlaps it, and, once that is reported, a still better one."""
    looks = [[], [Detection("w", 0.0, 0.2, 0.4)], [], [], [Detection("w", 0.4, 0.6, 0.5)],
             [Detection("w", 0.5, 0.6, 0.7)], [], [], [], [Detection("w", 0.6, 0.6, 0.9)]]  # fmt: skip
    spotter = Spotter({"w": enrol("star", (), listener, Pronouncer(), longest=1.6)}, listener)
    coming = iter(looks)
    monkeypatch.setattr(spotter, "_places", lambda *_: next(coming))
    hop = round(0.24 * SAMPLE_RATE)
    reported = [spotter.feed(stream[at : at + hop]) for at in range(0, len(looks) * hop, hop)]
    # settled where the stream has gone on for half of 0.6 s and the 0.2 s that rescoring wants: 1.1 + 0.5 < 7 hops
    assert {i: found for i, found in enumerate(reported) if found} == {2: looks[1], 6: looks[5]}


def test_memory_does_not_grow_with_the_stream(listener: SpanEncoder, query: Query) -> None:
    lengths = []
    frames = listener.frames

    def noted(waveform: np.ndarray) -> object:
        lengths.append(len(waveform))
        return frames(waveform)

    listener.frames = noted  # type: ignore[method-assign,assignment]
    spotter = Spotter({"word": query}, listener, settings=SpotterSettings(hop=1.0, past=4.0))
    silence = np.zeros(SAMPLE_RATE, np.float32)
    for _ in range(600):
        assert spotter.feed(silence) == []
    assert len(lengths) == 600
    assert max(lengths) == lengths[-1] == 5 * SAMPLE_RATE
    held = [np.size(value) for value in vars(spotter).values() if isinstance(value, np.ndarray | list)]
    assert sum(held) <= 5 * SAMPLE_RATE


@pytest.mark.parametrize("n_samples", [0, 1, 100, 4000, 48000])
def test_nothing_is_said(listener: SpanEncoder, query: Query, n_samples: int) -> None:
    spotter = Spotter({"word": query}, listener)
    assert spotter.feed(np.zeros(n_samples, np.float32)) + spotter.finish() == []


def test_the_last_word_of_a_stream_is_found(listener: SpanEncoder, query: Query, stream: np.ndarray) -> None:
    found = listen(Spotter({"word": query}, listener), stream[: round(TEND * SAMPLE_RATE)], 1600)
    assert [(n, round(d.tend, 1)) for n, d in found] == [(-1, 6.8)]


def test_a_keyword_longer_than_slices_is_found(listener: SpanEncoder, stream: np.ndarray, tmp_path: Path) -> None:
    """Its middle is looked for, and both ends are waited for; shorter ones are reported as before."""
    write_wav(tmp_path / "stream.wav", stream)
    queries = {
        name: enrol("", [Spoken(tmp_path / "stream.wav", *span)], listener, Pronouncer(), longest=1.6)
        for name, span in {"long": (3.0, 7.0), "short": (TBEG, TEND)}.items()
    }
    assert queries["long"].beyond == pytest.approx(1.2)
    found = {d.keyword: d for _, d in listen(Spotter(queries, listener), stream, 4000)}
    assert (found["long"].tbeg, found["long"].tend) == pytest.approx((3.0, 7.0), abs=0.1)
    assert (found["short"].tbeg, found["short"].tend) == pytest.approx((TBEG, TEND), abs=0.05)


def test_both_kinds_of_evidence(listener: SpanEncoder, query: Query, stream: np.ndarray) -> None:
    """The example tells where; borders are those of the text, anywhere near with random weights."""
    text = enrol("star", (), listener, Pronouncer(), longest=1.6)
    both = replace(text, examples=query.examples)
    assert both.mode == "both"
    found = [d for _, d in listen(Spotter({"star": both}, listener), stream, 4000)]
    assert found
    assert all(TBEG - 1 <= d.tbeg < d.tend <= TEND + 1 for d in found)


class Judge(Verifier):
    """Log odds of 1.5 for one pronunciation and of 0.5 for whatever else; notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(VerifierSettings(width=8, dim=8, positions=4, hidden=8, heads=1))
        self.asked: list[tuple[int, tuple[str, ...], bool]] = []

    def score(
        self, spans: Sequence[np.ndarray], *, phones: Sequence[str] = (), example: np.ndarray | None = None
    ) -> np.ndarray:
        assert {span.shape[1] for span in spans} == {8}
        self.asked.append((len(spans), tuple(phones), example is not None))
        return np.full(len(spans), 1.5 if tuple(phones) == ("S", "T", "AA", "R") else 0.5)


def test_a_verifier_has_the_last_word(listener: SpanEncoder, query: Query, stream: np.ndarray) -> None:
    """Without a calibration of its own, the probability is the sigmoid of its log odds."""
    text = enrol("star", (), listener, Pronouncer(), longest=1.6)
    assert text.pronunciations[0] == ("S", "T", "AA", "R")
    verifier = Judge()
    spotter = Spotter({"star": text, "word": query}, listener, verifier=verifier)
    found = [d for _, d in listen(spotter, stream, 4000)]
    assert {(d.keyword, round(d.score, 4)) for d in found} == {("star", 0.8176), ("word", 0.6225)}
    assert {(phones, has_example) for _, phones, has_example in verifier.asked} == {
        *((phones, False) for phones in text.pronunciations),
        ((), True),
    }


def test_a_calibrated_verifier_weighs_other_features_too(
    listener: SpanEncoder, query: Query, stream: np.ndarray
) -> None:
    verifier = Judge()
    own = Logistic(("dtw", "verifier"), (0.0, 0.0), (1.0, 1.0), (0.0, 2.0), -0.3)
    verifier.metadata = {"calibration": to_json({"audio": Calibration(own, CONTEXT)})}
    found = [d for _, d in listen(Spotter({"word": query}, listener, verifier=verifier), stream, 4000)]
    assert {round(d.score, 4) for d in found} == {0.6682}  # sigmoid of 2 * 0.5 - 0.3


def test_a_verifier_is_not_asked_about_what_is_unlikely(
    listener: SpanEncoder, query: Query, stream: np.ndarray
) -> None:
    """By DTW, only the word itself and what lies across it come near."""
    verifier = Judge()
    settings = SpotterSettings(threshold=0.0)
    found = [
        d for _, d in listen(Spotter({"word": query}, listener, verifier=verifier, settings=settings), stream, 4000)
    ]
    without = [d for _, d in listen(Spotter({"word": query}, listener, settings=settings), stream, 4000)]
    assert 1 <= len(found) < len(without)
