import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from indexer.removal import remove_recordings
from stdsearch import search
from stdsearch.audio import SAMPLE_RATE, read, write_wav
from stdsearch.calibrate import AS_THEY_ARE, Calibration, Logistic
from stdsearch.encoder import Frames, load_encoder, save_encoder
from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONES
from stdsearch.rescore import Candidates
from stdsearch.search import SEGMENTS_A_PLACE, Archive, Request, decided, depth_for
from stdsearch.types import Hit, Spoken
from tests.conftest import babble

TEXTS = ("evening", "a", "/S T AA R Z/", "the history of the united states of america and of its people")


def times(hit: Hit) -> tuple[float, float]:
    return hit.tbeg, hit.tbeg + hit.dur


# Slices lie on the grid of frames. A whole recording is read around each example, so that its frames are the archive's.
@pytest.mark.parametrize(
    ("recording", "tbeg", "tend"),
    [("news/long.wav", 1.2, 1.64), ("news/long.wav", 0.8, 2.4), ("odd.wav", 0.4, 0.72), ("short.wav", 0.0, 0.2)],
)
def test_an_example_finds_the_place_that_it_was_cut_from(
    archive: Archive, archive_folder: Path, recording: str, tbeg: float, tend: float
) -> None:
    best = archive.search(examples=[Spoken(archive_folder / "audio" / recording, tbeg, tend)]).hits[0]
    assert (best.recording, best.channel) == (recording, 1)
    assert times(best) == pytest.approx((tbeg, tend), abs=1e-3)


@pytest.mark.parametrize("channel", [1, 2])
def test_an_example_is_cut_from_the_channel_that_it_names(archive: Archive, archive_folder: Path, channel: int) -> None:
    best = archive.search(examples=[f"{archive_folder / 'audio' / 'two.wav'}@0.8-1.2@{channel}"]).hits[0]
    assert (best.recording, best.channel) == ("two.wav", channel)
    assert times(best) == pytest.approx((0.8, 1.2), abs=1e-3)


@pytest.mark.parametrize(("span", "channel"), [("", 2), ("@1.0-1.4", 2), ("@0.2-0.6", 1), ("@1.0-1.4@1", 1)])
def test_an_example_that_names_no_channel_is_of_the_loudest_there(
    archive: Archive, tmp_path: Path, span: str, channel: int
) -> None:
    """The first channel talks until .8 s, the second, longer, from then on; a constant is no sound."""
    first, second = babble(3, seed=1), babble(3, seed=2)
    first[12800:], second[:12800] = 0.01 * first[12800:], 0.01 * second[:12800]
    soundfile.write(tmp_path / "talk.wav", np.stack([0.5 + first, second], axis=1), SAMPLE_RATE)
    write_wav(tmp_path / "alone.wav", (0.5 + first, second)[channel - 1])
    found, alone = (
        archive.prepare(Request("KW-1", examples=(Spoken.parse(f"{tmp_path / name}{span}"),))).examples[0]
        for name in ("talk.wav", "alone.wav")
    )
    assert np.array_equal(found.embedding, alone.embedding)


def test_channels_of_one_sound_are_as_one(archive: Archive, tmp_path: Path) -> None:
    sound = babble(2, seed=1)
    write_wav(tmp_path / "mono.wav", sound)
    soundfile.write(tmp_path / "stereo.wav", np.stack([sound, sound], axis=1), SAMPLE_RATE)
    stereo, mono = (archive.search(examples=[tmp_path / name]).hits for name in ("stereo.wav", "mono.wav"))
    assert stereo == mono


@pytest.mark.parametrize("channel", [0, 2])
def test_a_channel_that_is_not_there_is_told(archive: Archive, archive_folder: Path, channel: int) -> None:
    with pytest.raises(StdSearchError, match=f"odd.wav: has no channel {channel}; its channels are 1 to 1"):
        archive.search(examples=[f"{archive_folder / 'audio' / 'odd.wav'}@0.4-0.72@{channel}"])


def test_an_example_longer_than_any_slice_is_found_whole(archive: Archive, archive_folder: Path) -> None:
    assert archive.reader.settings["slicing"]["longest"] == 1.6
    example = Spoken(archive_folder / "audio" / "news" / "long.wav", 0.4, 2.8)
    assert archive.prepare(Request("KW-1", examples=(example,))).beyond == pytest.approx(0.4)
    best = archive.search(examples=[example]).hits[0]
    assert best.recording == "news/long.wav"
    assert times(best) == pytest.approx((0.4, 2.8), abs=1e-3)


def test_several_examples_of_one_place_find_it(archive: Archive, archive_folder: Path) -> None:
    path = archive_folder / "audio" / "odd.wav"
    best = archive.search(examples=[Spoken(path, 0.4, 0.72), Spoken(path, 0.44, 0.72)]).hits[0]
    assert best.recording == "odd.wav"
    assert 0.36 <= best.tbeg <= 0.44


@pytest.mark.parametrize("text", TEXTS)
def test_hits_of_a_text_are_sound(archive: Archive, text: str) -> None:
    result = archive.search(text, kwid="KW-7")
    assert (result.kwid, result.term) == ("KW-7", text)
    assert result.search_seconds > 0
    assert result.hits
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= scores[0] <= 1
    recordings = {recording.path: recording for recording in archive.reader.recordings.values()}
    for hit in result.hits:
        assert 1 <= hit.channel <= recordings[hit.recording].channels
        assert 0 <= hit.tbeg < times(hit)[1] <= recordings[hit.recording].duration + 1e-6
    assert not overlapping(result.hits)


def overlapping(hits: tuple[Hit, ...]) -> list[tuple[Hit, Hit]]:
    """Pairs of which one has its midpoint inside the other."""

    def holds(outer: Hit, inner: Hit) -> bool:
        begin, end = times(outer)
        return begin + 1e-6 < sum(times(inner)) / 2 < end - 1e-6

    pairs = [(a, b) for a in hits for b in hits if a is not b and (a.recording, a.channel) == (b.recording, b.channel)]
    return [(a, b) for a, b in pairs if holds(a, b)]


def test_both_channels_of_a_recording_are_searched(archive: Archive) -> None:
    assert {hit.channel for hit in archive.search("evening").hits if hit.recording == "two.wav"} == {1, 2}


def test_a_term_of_more_phones_than_a_recording_has_room_for_is_not_found_in_it(archive: Archive) -> None:
    """0.25 s are 14 stretches of 20 ms."""
    for n_phones, found in ((14, True), (15, False)):
        hits = archive.search(f"/{'AH ' * n_phones}/").hits
        assert ("short.wav" in {hit.recording for hit in hits}) == found
        assert hits


def test_a_phrase_longer_than_any_segment_may_be_found_as_long_as_it_is(archive: Archive) -> None:
    """Forty phones of 80 ms: twenty are embedded, and there is room for ten more on either side."""
    query = archive.prepare(Request("KW-1", f"/{'S T AA R ' * 10}/"))
    assert query.beyond == pytest.approx(1.2)
    assert np.array_equal(query.text_embeddings, archive.encoder.embed_phones([("AA", "R", "S", "T") * 5]))
    for hit in archive.search(f"/{'S T AA R ' * 10}/").hits:
        assert hit.dur >= 40 * 0.02 - 1e-6


def test_limit_and_threshold_leave_out_the_worst(archive: Archive) -> None:
    hits = archive.search("evening").hits
    assert archive.search("evening", limit=3).hits == hits[:3]
    middle = hits[len(hits) // 2].score
    assert archive.search("evening", threshold=middle).hits == tuple(hit for hit in hits if hit.score >= middle)
    assert archive.search("evening", threshold=1.0).hits == ()


@pytest.mark.parametrize("text", TEXTS)
def test_no_more_places_are_heard_than_depth_says(archive: Archive, text: str) -> None:
    """Those of the best segments, before it is known how well they fit."""
    query = archive.prepare(Request("KW-1", text))
    every, _ = archive.candidates(query)
    for depth in (1, 5):
        places, features = archive.candidates(query, depth=depth)
        assert len(places) == len(features["first"]) == depth
        assert sorted(places.score) == sorted(every.score)[-depth:]
        assert len(archive.search(text, depth=depth).hits) <= depth


def test_depth_grows_with_the_archive_and_with_what_is_wanted() -> None:
    hours = np.array([0.1, 5, 10, 50, 100, 1000]) * 3600
    assert [depth_for(seconds) for seconds in hours] == [150, 150, 300, 1500, 3000, 3000]
    for limit in (1, 2, 3, 20):
        assert [depth_for(seconds, limit=limit) for seconds in hours] == [60, 60, 60, 71, 100, 316]
    assert [depth_for(seconds, limit=500) for seconds in hours] == [150, 150, 300, 1500, 1500, 1500]


@pytest.mark.parametrize("text", TEXTS)
def test_where_gives_what_filtering_afterwards_would(archive: Archive, text: str) -> None:
    """All segments are looked at, and few enough places are left for none to be cut off."""
    depth = depth_for(archive.reader.total_seconds)
    assert archive.reader.n_segments <= SEGMENTS_A_PLACE * depth
    everywhere = archive.search(text).hits
    assert len(everywhere) < depth
    some = archive.search(text, where="year between 1960 and 1980 and channels = 1").hits
    assert {hit.recording for hit in some} <= {"odd.wav", "short.wav"}
    expected = [hit for hit in everywhere if hit.recording in ("odd.wav", "short.wav")]
    assert [(*times(hit), hit.score) for hit in some] == [(*times(hit), hit.score) for hit in expected]


def test_decisions_and_normal_scores_are_those_of_the_chosen_recordings_alone(
    archive: Archive, archive_folder: Path, tmp_path: Path
) -> None:
    """How many hits a term may have, and in how many seconds, go by the same recordings."""
    shutil.copytree(archive_folder / "archive", tmp_path / "archive")
    remove_recordings(tmp_path / "archive", ["news/long.wav", "two.wav"])
    alone = Archive.open(tmp_path / "archive")
    for normalisation in (None, "kst"):
        asked = {"beta": 0.35, "normalisation": normalisation}
        some = archive.search("evening", where="path in ('odd.wav', 'short.wav')", **asked).hits
        assert {hit.decision for hit in some} == {True, False}
        assert [(hit.decision, hit.score) for hit in some] == [
            (hit.decision, pytest.approx(hit.score)) for hit in alone.search("evening", **asked).hits
        ]


@pytest.mark.parametrize("where", [None, "year < 1975", "year = 1980"])
@pytest.mark.parametrize("channel", [1, 2, 3])
def test_a_channel_gives_what_filtering_afterwards_would(archive: Archive, where: str | None, channel: int) -> None:
    everywhere = archive.search("evening", where=where).hits
    some = archive.search("evening", where=where, channel=channel).hits
    assert [(*times(hit), hit.score) for hit in some] == [
        (*times(hit), hit.score) for hit in everywhere if hit.channel == channel
    ]
    assert {hit.recording for hit in everywhere if hit.channel == 2} == (
        {"two.wav"} if where != "year < 1975" else set()
    )


def test_no_recording_fulfils_where(archive: Archive) -> None:
    assert archive.search("evening", where="year > 2000").hits == ()


def test_unknown_column_is_told(archive: Archive) -> None:
    with pytest.raises(StdSearchError, match=r"no column 'decade'; the columns are .*year"):
        archive.search("evening", where="decade = 3")


def test_text_and_example_together_are_one_term(archive: Archive, archive_folder: Path) -> None:
    example = Spoken(archive_folder / "audio" / "odd.wav", 0.4, 0.72)
    query = archive.prepare(Request("KW-1", "evening", (example,)))
    assert query.mode == "both"
    assert np.linalg.norm(query.vectors, axis=1) == pytest.approx(1)
    result = archive.search("evening", examples=[example])
    assert result.term == "evening"
    assert not overlapping(result.hits)


def test_a_request_that_cannot_be_searched_for_need_not_stop_the_others(archive: Archive) -> None:
    requests = [Request("KW-1", "evening"), Request("KW-2", "日本"), Request("KW-3"), Request("KW-4", "star")]
    with pytest.raises(StdSearchError, match="日本"):
        list(archive.search_all(requests))
    told = {}
    results = list(archive.search_all(requests, on_error=lambda request, error: told.update({request.kwid: error})))
    assert list(told) == ["KW-2", "KW-3"]
    assert "nothing to search for" in str(told["KW-3"])
    assert [result.kwid for result in results] == ["KW-1", "KW-2", "KW-3", "KW-4"]
    assert [bool(result.hits) for result in results] == [True, False, False, True]


def test_terms_searched_for_together_have_the_hits_of_each_alone(
    archive: Archive, archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many batches of texts, then kinds that are not batched with them."""
    monkeypatch.setattr(search, "BATCH", 8)
    spoken = Spoken(archive_folder / "audio" / "odd.wav", 0.4, 0.72)
    texts = [f"/{phone} AH T/" for phone in PHONES] + list(TEXTS)
    assert len(texts) > 32
    requests = [Request(f"KW-{i}", text) for i, text in enumerate(texts)]
    requests += [Request("A", "", (spoken,)), Request("B", "star", (spoken,)), Request("C", "star")]
    together = list(archive.search_all(requests, limit=9))
    assert [(found.kwid, found.term) for found in together] == [(r.kwid, r.text) for r in requests]
    for request, found in zip(requests, together, strict=True):
        alone = archive.search(request.text, examples=request.examples, limit=9)
        places = [[(hit.recording, hit.channel, hit.tbeg, hit.dur) for hit in result.hits] for result in (found, alone)]
        assert places[0] == places[1]
        assert [hit.score for hit in found.hits] == pytest.approx([hit.score for hit in alone.hits], abs=2e-6)
        assert [hit.decision for hit in found.hits] == [hit.decision for hit in alone.hits]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_query_is_told(archive: Archive, text: str) -> None:
    with pytest.raises(StdSearchError, match="nothing to search for; give a text"):
        archive.search(text)


@pytest.mark.parametrize(
    ("span", "complaint"),
    [("@0.2-9", "0.2-9 s is not inside it; it lasts 3.00 s"), ("@5-6", "5-6 s is not inside it"),
     ("@1-1.05", "the example lasts 0.05 s; give 0.1 s"), ("@0-31", "the example lasts 31 s; give 30 s or less"),
     ("@2-1", "a span begins at 0 s or later and ends after it begins"), ("@1-", "after FILE go @TBEG-TEND")],
)  # fmt: skip
def test_a_span_that_is_none_is_told(archive: Archive, archive_folder: Path, span: str, complaint: str) -> None:
    path = archive_folder / "audio" / "news" / "long.wav"
    with pytest.raises(StdSearchError) as told:
        archive.search(examples=[f"{path}{span}"])
    assert str(told.value).startswith(str(path))
    assert complaint in str(told.value)


def test_an_example_without_a_phone_is_told(
    archive: Archive, archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = np.full((152, 40), -9.0)
    silent[:, 0] = 0.0
    monkeypatch.setattr(archive.encoder, "phone_log_posteriors", lambda frames: silent)
    with pytest.raises(StdSearchError, match="nothing is said in it"):
        archive.search(examples=[archive_folder / "audio" / "news" / "long.wav"])


def test_examples_that_are_none_are_told(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    write_wav(tmp_path / "hour.wav", np.zeros(16000 * 31))
    write_wav(tmp_path / "silence.wav", np.zeros(16000))
    for name, complaint in {
        "nowhere.wav": "no such file",
        "empty.wav": "is empty",
        "text.wav": "no audio",
        "hour.wav": "lasts 31 s; give 30 s or less",
        "silence.wav": "nothing is said in it",
        "silence.wav@0.2-0.8": "nothing is said in it",
    }.items():
        with pytest.raises(StdSearchError) as told:
            archive.search(examples=[tmp_path / name])
        assert str(told.value).startswith(str(tmp_path / name.partition("@")[0]))
        assert complaint in str(told.value)


def test_an_example_is_trimmed_to_what_is_said(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said_from_the_30th_to_the_50th(frames: Frames) -> np.ndarray:
        posteriors = np.full((2 * len(frames.hidden), 40), -9.0)
        posteriors[:, 0] = 0.0
        posteriors[30:50, 0] = -9.0
        return posteriors

    monkeypatch.setattr(archive.encoder, "phone_log_posteriors", said_from_the_30th_to_the_50th)
    write_wav(tmp_path / "word.wav", np.random.default_rng(0).normal(0, 0.1, 32000))
    (example,) = archive.prepare(Request("KW-1", examples=(Spoken(tmp_path / "word.wav"),))).examples
    assert example.frames.duration == pytest.approx(0.4)
    assert np.array_equal(example.frames.hidden, archive.encoder.frames(read(tmp_path / "word.wav")).hidden[15:25])


def test_without_phone_posteriors_speech_activity_trims(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.encoder, "phone_log_posteriors", lambda frames: None)
    waveform = np.random.default_rng(0).normal(0, 1e-4, 32000)
    waveform[16000:24000] *= 1000
    write_wav(tmp_path / "word.wav", waveform)
    (example,) = archive.prepare(Request("KW-1", examples=(Spoken(tmp_path / "word.wav"),))).examples
    assert example.frames.duration == pytest.approx(0.6, abs=0.05)  # half a second, and a little on either side
    frames = archive.encoder.frames(read(tmp_path / "word.wav")).hidden
    assert np.array_equal(example.frames.hidden, frames[23 : 23 + len(example.frames.hidden)])


def test_there_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="nowhere"):
        Archive.open(tmp_path / "nowhere")


def test_an_encoder_of_other_weights_is_refused(archive_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "archive"
    copy.mkdir()
    for part in (archive_folder / "archive").iterdir():
        (copy / part.name).symlink_to(part)
    other = load_encoder(copy / "encoder.safetensors")
    other.log_prior[0] += 1
    (copy / "encoder.safetensors").unlink()
    save_encoder(other, copy / "encoder.safetensors")
    with pytest.raises(
        StdSearchError, match=r"encoder.safetensors: is damaged \(its checksum .* restore it or index again"
    ):
        Archive.open(copy)


def test_a_text_is_searched_for_without_torch(archive_folder: Path) -> None:
    """In a process of its own; to hear an example, torch is imported, and takes no more threads than the others."""
    script = f"""
import sys
from stdsearch.search import Archive
from stdsearch.threads import set_threads
set_threads(1)
archive = Archive.open({str(archive_folder / "archive")!r})
found = archive.search("evening").hits
print(len(found) > 0, "torch" in sys.modules)
archive.search(examples={str(archive_folder / "audio" / "odd.wav")!r} + "@0.4-0.8")
print(sys.modules["torch"].get_num_threads())
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "False", "1"]


@pytest.mark.parametrize(
    ("n_terms", "at_most", "threads", "sizes"),
    [(0, 64, 2, []), (1, 64, 2, [1]), (39, 64, 2, [20, 19]), (130, 64, 2, [33, 33, 33, 31]), (5, 1, 3, [1] * 5)],
)
def test_a_list_is_shared_out_evenly(n_terms: int, at_most: int, threads: int, sizes: list[int]) -> None:
    requests = [Request(f"KW-{i}", "word") for i in range(n_terms)]
    batches = list(search._batches(requests, at_most, threads))
    assert [len(batch) for batch in batches] == sizes
    assert [request for batch in batches for request in batch] == requests


def test_small_scores_that_are_normalised_stay_apart() -> None:
    odds = np.array([2.0, 0.4, -0.4, -2.2, -4, -5, -5.5, -6, -6.5, -7])
    n = len(odds)
    places = Candidates(np.arange(n), np.ones(n, int), np.zeros(n), np.ones(n), odds)
    calibration = Calibration(Logistic(("first",), (0.0,), (1.0,), (1.0,), 0.0), AS_THEY_ARE)
    paths = {i: f"{i}.wav" for i in range(n)}
    (hits,) = decided(places, {"first": odds}, calibration, paths, 600.0, normalisation="kst")
    assert [hit.recording for hit in hits] == list(paths.values())
    assert len({hit.score for hit in hits}) == n


def test_the_api_takes_what_a_notebook_gives(archive: Archive, archive_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("evening S T AA R\n")
    with Archive.open(str(archive_folder / "archive"), lexicon=str(tmp_path / "lexicon.txt")) as own:
        assert own.search("evening", depth=99).hits == archive.search("/S T AA R/", depth=99).hits
    assert (
        archive.search("evening", limit=np.int64(3), depth=np.int64(99)).hits
        == archive.search("evening", limit=3, depth=99).hits
    )
    path = archive_folder / "audio" / "odd.wav"
    found = archive.search(examples=[path]).hits
    assert archive.search(examples=path).hits == archive.search(examples=str(path)).hits == found
    assert archive.search(examples=Spoken(path)).hits == found


@pytest.mark.parametrize("name", ["limit", "depth", "channel"])
@pytest.mark.parametrize("number", [0, -1])
def test_senseless_numbers_are_refused(archive: Archive, name: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} is no limit, depth or channel"):
        archive.search("evening", **{name: number})


@pytest.mark.parametrize(
    "span", [(-1.0, 1.0), (1.0, None), (None, 1.0), (1.0, 1.0), (float("nan"), 1.0), (0.0, np.inf)]
)
def test_a_span_that_is_none_is_refused(span: tuple[float | None, float | None]) -> None:
    with pytest.raises(StdSearchError, match=r"word\.wav@.*a span begins at 0 s or later and ends after it begins"):
        Spoken(Path("word.wav"), *span)
