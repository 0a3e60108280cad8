from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from findings import Found, digest
from peers import Split, as_it_is, fit, hits_of, search

from stdsearch.rescore import Candidates
from stdsearch.search import Request

NAMES = ("audio/b.wav", "audio/a.wav")
SAID_AT = 2.0


def found(kwid: str, seed: int) -> Found:
    """Twenty places in two recordings, of which the one that the term is said at has a better score."""
    random = np.random.default_rng(seed)
    at = 10.0 * np.arange(20) + SAID_AT
    ratio = random.normal(-20, 3, 20) + random.normal(0, 5) + 12 * (np.arange(20) == 0)
    places = Candidates(np.arange(20, dtype=np.int32) % 2, np.ones(20, np.int16), at, at + 0.4, ratio)
    return Found(kwid, places, {"ratio": ratio, "pace": random.uniform(0.05, 0.15, 20)})


@pytest.fixture
def split() -> Any:
    """Every term is said once, in the recording whose id is 0."""
    occurrences = {(f"KW-{i}", "b", 1): [(SAID_AT, SAID_AT + 0.4)] for i in range(200)}
    ecf = SimpleNamespace(source_signal_duration=400.0)
    return SimpleNamespace(
        task=SimpleNamespace(ecf=ecf),
        labels=SimpleNamespace(occurrences=occurrences),
        recordings={name: Path(name) for name in NAMES},
    )


def test_a_peer_is_calibrated_on_dev_as_we_are(split: Any) -> None:
    calibration = fit(split, [found(f"KW-{i}", i) for i in range(100)])
    unseen = hits_of(split, [found(f"KW-{i}", i) for i in range(100, 200)], calibration)
    assert [term.kwid for term in unseen] == [f"KW-{i}" for i in range(100, 200)]
    for term in unseen:
        assert len(term.hits) == 20
        assert [hit.score for hit in term.hits] == sorted((hit.score for hit in term.hits), reverse=True)
    first = [term.hits[0] for term in unseen]
    assert np.mean([(hit.recording, hit.tbeg) == (NAMES[0], SAID_AT) for hit in first]) > 0.85
    assert sum(hit.score for term in unseen for hit in term.hits) == pytest.approx(100, rel=0.15)


def test_raw_scores_keep_their_order_across_terms(split: Any) -> None:
    terms = [found(f"KW-{i}", i) for i in range(5)]
    hits = hits_of(split, terms, as_it_is("ratio", terms))
    scores = np.concatenate([[hit.score for hit in term.hits] for term in hits])
    ratios = np.concatenate([np.sort(term.features["ratio"])[::-1] for term in terms])
    assert np.array_equal(np.argsort(scores), np.argsort(ratios))
    assert 0 < scores.min() < scores.max() < 1


def test_candidates_of_an_archive_are_numbered_as_the_task_counts() -> None:
    class Archive:
        reader = SimpleNamespace(recordings={4: SimpleNamespace(path=NAMES[1]), 7: SimpleNamespace(path=NAMES[0])})

        def prepare(self, request: Request) -> str:
            return request.text

        def candidates(self, query: str) -> tuple[Candidates, dict[str, np.ndarray]]:
            at = np.arange(3.0)
            ids = np.array([7, 4, 7], np.int32)
            return Candidates(ids, np.ones(3, np.int16), at, at + 1, -at), {"first": at + len(query)}

    findings = search(
        Archive(), {"text": [Request("KW-1", "one"), Request("KW-2", "three")]}, {NAMES[0]: 0, NAMES[1]: 1}
    )
    assert [term.kwid for term in findings.found["text"]] == ["KW-1", "KW-2"]
    assert findings.found["text"][0].places.recording_id.tolist() == [0, 1, 0]
    assert findings.found["text"][1].features["first"].tolist() == [5, 6, 7]
    assert findings.cost["text"] >= 0


def test_an_archive_is_indexed_once_for_each_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(fingerprint="weights", metadata={"recipe": "span", "calibration": "{}"})
    indexed: list[Path] = []

    def index(audio: Path, archive: Path, *arguments: Any) -> dict[str, float]:
        indexed.append(archive)
        return {"index_cpu_seconds": 1.5}

    monkeypatch.setattr("peers.load_encoder", lambda path: model)
    monkeypatch.setattr("peers.index", index)
    monkeypatch.setattr("peers.Archive.open", lambda path: path)
    split = Split(SimpleNamespace(recordings=dict, link_audio=lambda into: None), None, tmp_path)
    first = split.archive("ours", None)
    assert first == (indexed[0], {"index_cpu_seconds": 1.5})
    model.metadata = dict(reversed(model.metadata.items()))  # a file's metadata come in any order
    assert split.archive("ours", None) == first
    assert len(indexed) == 1
    split.archive("ours", None, ["--hop", "0.5"])
    model.metadata = {"recipe": "span", "calibration": "{other}"}
    split.archive("ours", None)
    model.fingerprint = "other weights"
    split.archive("ours", None)
    assert len(set(indexed)) == len(indexed) == 4


def test_other_recordings_terms_or_examples_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "example.wav").write_text("sound")
    for name in ("kwlist.xml", "examples.tsv", "recording.wav"):
        (tmp_path / name).write_text(name)
    spoken = SimpleNamespace(path=tmp_path / "example.wav")

    def name() -> str:
        recordings = {"recording.wav": tmp_path / "recording.wav"}
        task = SimpleNamespace(recordings=lambda: recordings, folder=tmp_path, examples={"KW-1": (spoken,)})
        return digest(*Split(task, None, tmp_path).asked)

    names = [name()]
    for changed in ("recording.wav", "kwlist.xml", "examples.tsv", "example.wav"):
        (tmp_path / changed).write_text("changed")
        names.append(name())
    assert len(set(names)) == 5
    assert name() == names[-1]
