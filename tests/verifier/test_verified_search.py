"""The verifier as the last look of a search: its feature, its calibration, the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from stdsearch.calibrate import BY_VERIFIER, to_json
from stdsearch.cli.query import query as query_command
from stdsearch.encoder import SpanEncoder
from stdsearch.errors import StdSearchError
from stdsearch.rescore import MARGIN, Query, rescore
from stdsearch.search import Archive, Request
from stdsearch.types import Spoken
from stdsearch.verifier import Verifier, VerifierSettings, cut, load_verifier, save_verifier, storage
from train.cli import train


@pytest.fixture(scope="module")
def verifier(encoder: SpanEncoder) -> Verifier:
    torch.manual_seed(1)
    settings = VerifierSettings(width=encoder.settings.hidden, dim=8, positions=6, hidden=8, heads=2)
    verifier = Verifier(settings, encoder.fingerprint).eval()
    verifier.bank.copy_(torch.randn(verifier.bank.shape))
    verifier.text_head.weight.data.mul_(20)
    return verifier


@pytest.fixture
def verified(archive_folder: Path, verifier: Verifier) -> Archive:
    return Archive.open(archive_folder / "archive", verifier=verifier)


@pytest.mark.parametrize(("text", "n_examples"), [("star", 0), ("read", 0), ("", 1), ("", 2), ("star", 1), ("read", 2)])
def test_the_feature_is_that_of_each_span_alone(
    archive: Archive, verifier: Verifier, archive_folder: Path, text: str, n_examples: int
) -> None:
    """Of several pronunciations, as "read" has, the best; over examples the mean."""
    examples = tuple(Spoken(archive_folder / "audio" / "odd.wav", 0.4 + i, 0.8 + i) for i in range(n_examples))
    query = archive.prepare(Request("KW-1", text, examples))
    places, _ = archive.candidates(query)
    found, features = rescore([query], places.take(np.arange(5)), archive.reader, archive.encoder, verifier)
    _, plain = rescore([query], places.take(np.arange(5)), archive.reader, archive.encoder)
    assert features.keys() == plain.keys() | {"verifier"}
    for i in range(len(found)):
        frames, start = archive.reader.frames(
            int(found.recording_id[i]),
            int(found.channel[i]),
            float(found.tbeg[i]) - MARGIN,
            float(found.tend[i]) + MARGIN,
        )
        span = cut(frames, found.tbeg[i] - start, found.tend[i] - start)
        assert features["verifier"][i] == pytest.approx(expected(query, verifier, span), abs=1e-4)


def expected(query: Query, verifier: Verifier, span: np.ndarray) -> float:
    scores = []
    for phones in query.pronunciations or ((),):
        examples = [example.frames.hidden[:, :-1] for example in query.examples] or [None]
        scores.append(np.mean([verifier.score([span], phones=phones, example=example)[0] for example in examples]))
    return float(max(scores))


def test_without_a_calibration_the_verifier_alone_decides(verified: Archive) -> None:
    query = verified.prepare(Request("KW-1", "star"))
    places, features = verified.candidates(query)
    hits = verified.search("star").hits
    best = int(np.argmax(features["verifier"]))
    assert hits[0].tbeg == pytest.approx(places.tbeg[best], abs=1e-3)
    odds = -np.log(1 / np.array([hit.score for hit in hits]) - 1)
    assert odds[0] == pytest.approx(features["verifier"].max(), abs=1e-2)
    assert (np.diff(odds) <= 0).all()


def test_the_calibration_is_that_of_the_verifier(archive_folder: Path, encoder: SpanEncoder, tmp_path: Path) -> None:
    settings = VerifierSettings(width=encoder.settings.hidden, dim=8, positions=6, hidden=8, heads=2)
    save_verifier(
        Verifier(settings, encoder.fingerprint), tmp_path / "v", {"calibration": to_json({"text": BY_VERIFIER})}
    )
    opened = Archive.open(archive_folder / "archive", verifier=load_verifier(tmp_path / "v"))
    assert opened.calibrations == {"text": BY_VERIFIER}


def test_a_verifier_of_another_encoder_is_refused(archive_folder: Path, verifier: Verifier) -> None:
    other = Verifier(verifier.settings, "0" * 64)
    with pytest.raises(StdSearchError, match="give a verifier of the archive's encoder") as told:
        Archive.open(archive_folder / "archive", verifier=other)
    assert "\n" not in str(told.value)


@pytest.fixture
def run(archive_folder: Path, verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Queries as JSON from tmp_path, where verifier.safetensors is the one that ships."""
    monkeypatch.chdir(tmp_path)
    save_verifier(verifier, tmp_path / "verifier.safetensors")
    monkeypatch.setattr(storage, "default_verifier_path", lambda: tmp_path / "verifier.safetensors")

    def invoke(*arguments: object) -> Result:
        standard = [archive_folder / "archive", "--threads", 1, "--format", "json"]
        return CliRunner().invoke(query_command, [str(argument) for argument in (*standard, *arguments)])

    return invoke


def hits(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    (term,) = json.loads(result.stdout)
    found: list[dict] = term["hits"]
    return found


def test_a_query_is_verified_on_request(run: Callable[..., Result], archive_folder: Path) -> None:
    plain = hits(run("star"))
    verified = hits(run("star", "--verify"))
    assert [hit["score"] for hit in plain] != [hit["score"] for hit in verified]
    assert hits(run("star", "--verifier", "verifier.safetensors")) == verified
    spoken = ("--audio", f"{archive_folder / 'audio' / 'odd.wav'}@0.4-0.8")
    assert hits(run(*spoken, "--verify")) != hits(run(*spoken))
    assert hits(run("star", *spoken, "--verify"))


def test_a_verifier_that_is_none_is_told(run: Callable[..., Result], verifier: Verifier, tmp_path: Path) -> None:
    save_verifier(Verifier(verifier.settings, "other"), tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for name, complaint in (
        ("nowhere.safetensors", "no such verifier"),
        ("broken.safetensors", "not a readable safetensors file"),
        ("other.safetensors", "the verifier was trained on other"),
    ):
        result = run("star", "--verifier", name)
        assert isinstance(result.exception, StdSearchError)
        assert complaint in str(result.exception)


def test_calibration_goes_into_the_verifier(
    run: Callable[..., Result], archive_folder: Path, verifier: Verifier, tmp_path: Path
) -> None:
    """The task's only occurrence is where the archive finds the term best."""
    best = hits(run("star", "--limit", 1))[0]
    name, tbeg, dur = Path(best["recording"]).stem, best["tbeg"], best["dur"]
    task = tmp_path / "task"
    task.mkdir()
    excerpt = f'<excerpt audio_filename="{name}.wav" channel="{best["channel"]}" tbeg="0" dur="9" source_type="bnews"/>'
    (task / "ecf.xml").write_text(f'<ecf source_signal_duration="9" language="english" version="1">{excerpt}</ecf>')
    (task / "ref.rttm").write_text(f"LEXEME {name} {best['channel']} {tbeg} {dur} star lex speaker <NA>\n")
    (task / "kwlist.xml").write_text(
        '<kwlist ecf_filename="ecf.xml" language="english" encoding="UTF-8" compareNormalize="lowercase" version="1">'
        '<kw kwid="KW-1"><kwtext>star</kwtext></kw></kwlist>'
    )
    command = ("calibrate", archive_folder / "archive", task, "--threads", 1, "--verifier", "verifier.safetensors")
    result = CliRunner().invoke(train, [str(part) for part in (*command, "--out", "calibrated.safetensors")])
    assert result.exit_code == 0, result.output
    calibrated = load_verifier(tmp_path / "calibrated.safetensors")
    assert calibrated.encoder_fingerprint == verifier.encoder_fingerprint
    opened = Archive.open(archive_folder / "archive", verifier=calibrated)
    assert "verifier" in opened.calibrations["text"].own.features
    assert hits(run("star", "--verifier", "calibrated.safetensors"))[0]["score"] > 0.5
