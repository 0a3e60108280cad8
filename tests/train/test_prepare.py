"""Preparation from end to end: noise with words given where that is enough, else real speech."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stdsearch.audio import write_wav
from stdsearch.errors import StdSearchError
from train.cli.prepare import prepare as prepare_command
from train.manifest import PhoneSpan, Utterance, Word, read_manifest, read_words, write_manifest
from train.prepare.run import Files, prepare
from train.prepare.source import SourceUtterance
from train.prepare.table import read_table
from train.prepare.transcript import words_of
from train.prepare.utterance import Dropped, Reason, UtterancePreparer
from train.prepare.workfile import WorkFile

SPEECH = Path(__file__).resolve().parents[2] / ".." / "shared" / "speech"
needs_speech = pytest.mark.skipif(not SPEECH.exists(), reason="no ../shared/speech beside the repository")
PICKED = (  # one of each corpus, native and not, with words that the dictionary lacks in two
    "common_voice_en_37037387",
    "19-198-0000",
    "kathleen_arctic_a0009_1592748391",
    "174-50561-0007",
    "linda_LJ001-0024",
    "so027990156",
)


@pytest.fixture
def noise(tmp_path):
    """A second of noise."""
    path = tmp_path / "noise.wav"
    write_wav(path, np.random.default_rng(0).normal(0, 0.1, 16000))
    return path


def source(audio: Path, text: str, utterance: str = "u1", /, **changes) -> SourceUtterance:
    values = {"split": "train", "corpus": "", "speaker": "anna", "channel": 1, "tbeg": 0.0, "dur": None}
    return SourceUtterance(
        **values | {"utterance": utterance, "audio": audio, "text": text, "place": "t.tsv:1"} | changes
    )


def spoken(*words: str) -> tuple[Word, ...]:
    """Words of 0.2 s, one after the other, each of one phone: no aligner would give them."""
    return tuple(Word(word, n / 5, (n + 1) / 5, (PhoneSpan("AH", n / 5, (n + 1) / 5),)) for n, word in enumerate(words))


# Transcripts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" ... [noise] <sil> !SIL -- ", []),
        ("Don’t (stop)!", ["Don't", "stop"]),
        ("it cost $5, 50% less", ["it", "cost", "$5", "50%", "less"]),
        ("A—b and/or C--d", ["A", "b", "and", "or", "C", "d"]),
        ("well <unk> [noise] yes", ["well", "<unk>", "yes"]),
        ("the U.S. at 5 a.m.", ["the", "U.S.", "at", "5", "a.m."]),
        ("THE <UNK> F.B.I.", ["the", "<unk>", "f.b.i."]),
        ("'cause he said 'no' to the boys'", ["'cause", "he", "said", "no", "to", "the", "boys"]),
    ],
)
def test_words_of_a_transcript(text, words):
    assert words_of(text, {"'cause"}.__contains__) == words


# Why an utterance is dropped


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("[noise]", {}, Reason.NO_TRANSCRIPT),
        ("hi", {"audio": Path("none.wav")}, Reason.AUDIO_MISSING),
        ("hi", {"audio": Path(__file__)}, Reason.AUDIO_BROKEN),
        ("hi", {"tbeg": 2.0}, Reason.OUTSIDE_AUDIO),
        ("hi", {"tbeg": 0.5, "dur": 0.8}, Reason.OUTSIDE_AUDIO),
        ("hi", {"channel": 2}, Reason.OUTSIDE_AUDIO),
        ("hi", {"dur": 0.05}, Reason.TOO_SHORT),
        ("hi <unk>", {}, Reason.UNPRONOUNCEABLE),
        ("a sentence that nobody says in a second or even in two", {}, Reason.TOO_MUCH_TEXT),
    ],
)
def test_what_cannot_be_prepared_is_dropped_with_its_reason(noise, text, changes, reason):
    outcome = UtterancePreparer()((source(noise, text, **changes), None))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == reason
    assert "\n" not in outcome.detail


def test_noise_is_not_taken_for_speech(noise):
    outcome = UtterancePreparer()((source(noise, "hello world"), None))
    assert isinstance(outcome, Dropped)
    assert outcome.reason in (Reason.NOT_ALIGNED, Reason.MISMATCH)


def test_audio_that_breaks_off_is_dropped(tmp_path, noise):
    data = noise.read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    outcome = UtterancePreparer()((source(tmp_path / "cut.wav", "hello", dur=1.0), None))
    assert isinstance(outcome, Dropped)


# Preparation


def test_given_words_are_kept_if_they_are_the_transcripts(noise):
    prepare_one = UtterancePreparer()
    assert prepare_one((source(noise, "Hello, world!"), spoken("hello", "world"))).words == spoken("hello", "world")
    assert isinstance(prepare_one((source(noise, "hello"), spoken("goodbye"))), Dropped)  # aligned anew, in vain


def test_the_manifest_keeps_the_order_of_the_sources_and_the_report_what_was_dropped(tmp_path, noise):
    sources = [source(noise, "hello", f"u{n}", attributes={"n": str(n)}) for n in range(8)]
    sources[3] = source(noise, "", "u3")
    sources[5] = source(tmp_path / "none.wav", "hello", "u5")
    done = []
    given = {f"u{n}": spoken("hello") for n in range(8)}
    report = prepare(sources, tmp_path / "m.jsonl", alignments=given, jobs=2, advance=done.append)
    utterances = read_manifest(tmp_path / "m.jsonl")
    assert [u.utterance for u in utterances] == ["u0", "u1", "u2", "u4", "u6", "u7"]
    assert utterances[0] == Utterance(
        "u0", "train", "", "anna", Path("noise.wav"), 1, 0.0, 1.0, "hello", spoken("hello"), {"n": "0"}
    )
    assert sum(done) == 8
    assert [(d.utterance, d.reason) for d in report.dropped] == [
        ("u3", Reason.NO_TRANSCRIPT),
        ("u5", Reason.AUDIO_MISSING),
    ]
    assert (report.kept["train"].utterances, report.kept["train"].speakers, report.kept["train"].words) == (6, 1, 6)
    written = json.loads((tmp_path / "m.report.json").read_text())
    assert written["reasons"] == {"no transcript": 1, "audio missing": 1}
    assert written["dropped"][1]["detail"] == f"{tmp_path / 'none.wav'}: no such file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.jsonl", "m.report.json", "noise.wav"]


def test_a_manifest_elsewhere_names_its_audio_absolutely(tmp_path, noise):
    prepare([source(noise, "hi")], tmp_path / "far" / "m.jsonl", alignments={"u1": spoken("hi")})
    (utterance,) = read_manifest(tmp_path / "far" / "m.jsonl")
    assert utterance.audio == noise


def test_words_in_no_dictionary_are_reported(tmp_path, noise):
    report = prepare([source(noise, "Zorblaxi hi")], tmp_path / "m.jsonl", alignments={"u1": spoken("zorblaxi", "hi")})
    assert report.guessed == {"zorblaxi": 1}


def test_a_manifest_that_exists_is_left_alone(tmp_path, noise):
    write_manifest(tmp_path / "m.jsonl", [])
    with pytest.raises(StdSearchError, match=r"m\.jsonl: exists already"):
        prepare([source(noise, "hi")], tmp_path / "m.jsonl")


def test_when_everything_is_dropped_there_is_a_report_and_no_manifest(tmp_path, noise):
    with pytest.raises(StdSearchError, match="every utterance was dropped, 1 as `no transcript`"):
        prepare([source(noise, "")], tmp_path / "m.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.report.json", "noise.wav"]


def test_an_interrupted_preparation_goes_on(tmp_path, noise):
    sources = [source(noise, "hello", f"u{n}", tbeg=n / 100) for n in range(6)]
    given = {f"u{n}": spoken("hello") for n in range(6)}

    class PowerCut(BaseException):
        pass

    def cut(n_done: int) -> None:
        if sum(done) + n_done == 3:
            raise PowerCut
        done.append(n_done)

    done: list[int] = []
    with pytest.raises(PowerCut):
        prepare(sources, tmp_path / "m.jsonl", alignments=given, advance=cut)
    assert not (tmp_path / "m.jsonl").exists()
    with (tmp_path / "m.work.jsonl").open("a") as file:
        file.write('["half a li')
    sources[0] = source(noise, "hello hello", "u0")  # this transcript has changed meanwhile
    given["u0"] = spoken("hello", "hello")
    resumed: list[int] = []
    prepare(sources, tmp_path / "m.jsonl", alignments=given, advance=resumed.append)
    assert resumed == [2, 1, 1, 1, 1]
    prepare(sources, tmp_path / "whole.jsonl", alignments=given)
    assert (tmp_path / "m.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "m.work.jsonl").exists()


def test_two_preparations_of_one_manifest_do_not_meet(tmp_path):
    with (
        WorkFile(tmp_path / "m.work.jsonl"),
        pytest.raises(StdSearchError, match="another preparation works on it"),
    ):
        WorkFile(tmp_path / "m.work.jsonl")
    with WorkFile(tmp_path / "m.work.jsonl"):
        pass


def test_manifests_of_one_stem_have_files_of_their_own(tmp_path):
    names = {Files(tmp_path / name).report.name for name in ("speech.a", "speech.b", "speech.jsonl")}
    assert names == {"speech.a.report.json", "speech.b.report.json", "speech.report.json"}


def test_a_work_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StdSearchError, match=r"m\.work\.jsonl: cannot be written"):
        WorkFile(tmp_path / "file" / "m.work.jsonl")


# The command


@pytest.fixture
def librispeech(tmp_path, noise):
    chapter = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121"
    chapter.mkdir(parents=True)
    (chapter / "84-121.trans.txt").write_text("84-121-0000 HELLO\n84-121-0001 GOODBYE\n")
    noise.rename(chapter / "84-121-0000.wav")
    words = {"utterance": "84-121-0000", "words": [["hello", 0.1, 0.5, [["HH", 0.1, 0.5]]]]}
    (tmp_path / "words.jsonl").write_text(json.dumps(words) + "\n")
    return tmp_path / "LibriSpeech"


def run(*arguments: object):
    return CliRunner().invoke(prepare_command, [str(argument) for argument in arguments])


def test_a_librispeech_tree_on_the_command_line(tmp_path, librispeech):
    out = tmp_path / "m.jsonl"
    result = run("librispeech", librispeech, "--out", out, "--alignments", tmp_path / "words.jsonl", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "audio missing" in result.stderr
    (utterance,) = read_manifest(out)
    assert (utterance.split, utterance.speaker, utterance.corpus) == ("dev", "84", "librispeech/dev-clean")
    assert utterance.audio == Path("LibriSpeech/dev-clean/84/121/84-121-0000.wav")


def test_splits_that_share_a_speaker_are_refused_unless_told(tmp_path, noise):
    table = tmp_path / "t.tsv"
    rows = ["utterance\tspeaker\tsplit\taudio\ttext", "u1\tanna\ttrain\tnoise.wav\t", "u2\tanna\tdev\tnoise.wav\t"]
    table.write_text("\n".join(rows) + "\n")
    with pytest.raises(StdSearchError, match=r"t\.tsv: speaker anna is in the splits dev and train"):
        CliRunner().invoke(
            prepare_command, ["table", str(table), "--out", str(tmp_path / "m.jsonl")], catch_exceptions=False
        )
    with pytest.raises(StdSearchError, match="every utterance was dropped"):
        CliRunner().invoke(
            prepare_command,
            ["table", str(table), "--out", str(tmp_path / "m.jsonl"), "--allow-shared-speakers"],
            catch_exceptions=False,
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--column", "sentence"],
        ["--column", "words=sentence"],
        ["--hold-out", "dev=2"],
        ["--hold-out", "dev"],
        ["--jobs", "0"],
    ],
)
def test_a_wrong_call_is_a_usage_error(tmp_path, arguments):
    assert run("table", tmp_path / "t.tsv", "--out", tmp_path / "m.jsonl", *arguments).exit_code == 2


# Real speech


@needs_speech
def test_alignment_agrees_with_the_reference(tmp_path):
    table = read_table(SPEECH / "manifest.tsv")
    sources = [u for u in table if u.utterance in PICKED]
    assert len(sources) == len(PICKED)
    report = prepare(sources, tmp_path / "m.jsonl", jobs=2)
    assert not report.dropped
    reference = read_words(SPEECH / "alignments.jsonl")
    differences = [
        (ours.tbeg - theirs.tbeg, ours.tend - theirs.tend)
        for utterance in read_manifest(tmp_path / "m.jsonl")
        if utterance.utterance in reference
        for ours, theirs in zip(utterance.words, reference[utterance.utterance], strict=True)
    ]
    assert len(differences) > 40
    assert np.median(np.abs(differences)) <= 0.02


@needs_speech
def test_alignment_does_not_depend_on_what_was_aligned_before():
    first, second = [u for u in read_table(SPEECH / "manifest.tsv") if u.utterance in PICKED[1:3]]
    prepare_one = UtterancePreparer()
    alone = prepare_one((first, None))
    prepare_one((second, None))
    assert prepare_one((first, None)) == alone


@needs_speech
def test_a_foreign_transcript_is_dropped():
    first, second = [u for u in read_table(SPEECH / "manifest.tsv") if u.utterance in PICKED[1:3]]
    outcome = UtterancePreparer()((source(second.audio, first.text), None))
    assert isinstance(outcome, Dropped)


@needs_speech
def test_long_audio_cut_at_its_pauses_aligns_as_it_does_in_one_piece(monkeypatch):
    (long,) = (u for u in read_table(SPEECH / "manifest.tsv") if u.utterance == "174-50561-0007")
    prepare_one = UtterancePreparer()
    whole = prepare_one((long, None)).words
    monkeypatch.setattr("train.prepare.align.MAX_SECONDS", 4.0)
    pieces = prepare_one((long, None)).words
    assert [word.text for word in pieces] == [word.text for word in whole]
    differences = np.array([(a.tbeg - b.tbeg, a.tend - b.tend) for a, b in zip(whole, pieces, strict=True)])
    assert differences.any()  # it was cut
    assert np.abs(differences).max() <= 0.1
