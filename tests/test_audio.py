import errno
import io
import logging
import os
import stat
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from stdsearch.audio import SAMPLE_RATE, AudioInfo, blocks, probe, raw_blocks, read, write_wav
from stdsearch.errors import StdSearchError


def chirps(rate: int, seconds: float, channels: int = 1) -> np.ndarray:
    """(n, channels) rising tones, another one in each channel."""
    time = np.arange(round(rate * seconds)) / rate
    return np.stack([0.3 * np.sin(2 * np.pi * (200 + 90 * c + 60 * time) * time) for c in range(channels)], axis=1)


def whole(path: Path, seconds: float = 3.0) -> np.ndarray:
    return np.concatenate(list(blocks(path, seconds=seconds)), axis=1)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (22050, 1), (44100, 2), (96000, 6)])
def test_streamed_blocks_equal_resampling_the_whole_at_once(tmp_path: Path, rate: int, channels: int) -> None:
    sound = chirps(rate, 23.4567, channels).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
    pieces = list(blocks(tmp_path / "a.wav", seconds=4.0))
    assert [piece.shape for piece in pieces[:-1]] == [(channels, 64000)] * 5
    assert all(piece.dtype == np.float32 for piece in pieces)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), soxr.resample(sound, rate, SAMPLE_RATE).T, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.01, 1.0, 10.0, 1000.0])
def test_block_length_changes_no_sample(tmp_path: Path, seconds: float) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(16000, 21.0, 2), 16000, subtype="FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / "a.wav", seconds), chirps(16000, 21.0, 2).T.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.flac", {}),
        ("a.mp3", {}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
def test_every_format_is_decoded_and_a_span_is_a_slice_of_the_whole(tmp_path: Path, name: str, options: dict) -> None:
    path = tmp_path / name
    soundfile.write(path, chirps(48000, 15.0, 2), 48000, **options)
    info = probe(path)
    assert (info.channels, info.sample_rate) == (2, 48000)
    assert info.duration == pytest.approx(15.0, abs=0.1)
    everything = whole(path)
    clean = soxr.resample(chirps(48000, 15.0, 2), 48000, SAMPLE_RATE).T
    assert np.corrcoef(everything[1, : clean.shape[1]], clean[1])[0, 1] > 0.95
    for channel, tbeg, dur in [(1, 0.0, 0.5), (2, 0.7, 1.0), (1, 1.37, 2.0), (2, 11.23, 3.0)]:
        span = read(path, channel=channel, tbeg=tbeg, dur=dur)
        first = round(tbeg * SAMPLE_RATE)
        np.testing.assert_allclose(span, everything[channel - 1, first : first + round(dur * SAMPLE_RATE)], atol=1e-4)
    np.testing.assert_allclose(read(path, channel=2, tbeg=14.0), everything[1, 14 * SAMPLE_RATE :], atol=1e-4)


def test_read_at_16_khz_gives_the_very_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(16000, 5.0), 16000, subtype="FLOAT")
    expected = chirps(16000, 5.0).astype(np.float32)[:, 0]
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), expected)
    np.testing.assert_array_equal(read(tmp_path / "a.wav", tbeg=2.5, dur=1.25), expected[40000:60000])


def test_written_wav_is_read_back_to_16_bits_and_clipped(tmp_path: Path) -> None:
    waveform = np.array([0.0, 0.5, -0.25, 3.0, -3.0], np.float32)
    write_wav(tmp_path / "a.wav", waveform)
    assert probe(tmp_path / "a.wav") == AudioInfo(5 / 16000, 1, 16000)
    np.testing.assert_allclose(read(tmp_path / "a.wav"), np.clip(waveform, -1, 1), atol=2**-15)


def test_very_short_and_silent_recordings_are_recordings(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", chirps(96000, 0.05, 6), 96000)
    assert whole(tmp_path / "short.wav").shape == (6, 800)
    soundfile.write(tmp_path / "silent.flac", np.zeros((44100, 2)), 44100)
    assert not whole(tmp_path / "silent.flac").any()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"this is a letter, not a recording\n" * 20, "no audio that libsndfile knows, and ffmpeg is not on PATH"),
        (b"RIFF\x24\x00\x00\x00WAVE", "no audio that libsndfile knows"),
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".raw"])
def test_what_is_no_audio_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, complaint: str, suffix: str
) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / f"a{suffix}"
    if content is not None:
        path.write_bytes(content)
    for attempt in (probe, read, whole):
        with pytest.raises(StdSearchError, match=complaint) as caught:
            attempt(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_what_may_not_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(16000, 0.1), 16000)
    denied = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(denied))  # root may read everything
    with pytest.raises(StdSearchError, match=r"a\.wav: cannot be read \(Permission denied\)"):
        probe(tmp_path / "a.wav")


def test_a_folder_and_a_header_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="no such file"):
        probe(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
    with pytest.raises(StdSearchError, match="holds no sound"):
        whole(tmp_path / "a.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e20])
def test_samples_that_no_sound_has_are_refused(tmp_path: Path, bad: float) -> None:
    sound = chirps(16000, 1.0)
    sound[8000] = bad
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    with pytest.raises(StdSearchError, match=r"a\.wav: holds samples that no sound has"):
        whole(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("channel", "tbeg", "dur", "complaint"),
    [
        (3, 0.0, None, "has no channel 3; its channels are 1 to 2"),
        (0, 0.0, None, "has no channel 0"),
        (1, 2.0, None, r"within its 2\.00 s"),
        (1, 1.5, 0.6, r"1\.50 to 2\.10 s is no span of it; give one within its 2\.00 s"),
        (1, -0.1, 0.5, "no span"),
        (1, 0.5, 0.0, "no span"),
        (1, float("nan"), 1.0, "no span"),
    ],
)
def test_a_span_or_channel_outside_the_recording_is_refused(
    tmp_path: Path, channel: int, tbeg: float, dur: float | None, complaint: str
) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(8000, 2.0, 2), 8000)
    with pytest.raises(StdSearchError, match=complaint):
        read(tmp_path / "a.wav", channel=channel, tbeg=tbeg, dur=dur)


def test_a_rate_that_no_memory_holds_a_second_of(tmp_path: Path) -> None:
    """What is read at a time is no more than there is."""
    soundfile.write(tmp_path / "a.wav", np.zeros((4000, 8)), 2_000_000_000)
    tracemalloc.start()
    with pytest.raises(StdSearchError, match="holds no sound"):  # at 16 kHz
        whole(tmp_path / "a.wav")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**24


@pytest.mark.parametrize("seconds", [0.4, 2.5, 3.0, 10.3])
def test_a_flac_of_unknown_length_is_read_to_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    """As programs write it to a pipe: 36 bits of zeros where the number of samples stands."""
    path = tmp_path / "a.flac"
    soundfile.write(path, chirps(16000, seconds), 16000)
    expected, content = whole(path), bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(whole(path), expected)
    assert probe(path).duration == pytest.approx(seconds)
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_recording_cut_short_is_read_as_far_as_it_goes_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    soundfile.write(tmp_path / f"whole-{name}", chirps(16000, 60.0), 16000)
    content = (tmp_path / f"whole-{name}").read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING):
        n_samples = whole(tmp_path / name).shape[1]
    assert 15 * SAMPLE_RATE < n_samples < 45 * SAMPLE_RATE
    assert f"{tmp_path / name}: breaks off after" in caplog.text
    caplog.clear()
    whole(tmp_path / f"whole-{name}")
    assert not caplog.records


def test_a_wav_written_to_a_pipe_claims_no_length_and_is_read_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(16000, 3.0), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    data = content.index(b"data")
    content[4:8] = content[data + 4 : data + 8] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(content)
    assert whole(tmp_path / "a.wav").shape == (1, 48000)
    assert not caplog.records


FAKE_FFMPEG = f"""#!{sys.executable}
import struct, sys
path = sys.argv[sys.argv.index("-i") + 1].removeprefix("file:")
content = open(path, "rb").read()
if not content.startswith((b"strange", b"streams")):
    sys.exit(path + ": Invalid data found when processing input")
duration = "00:00:12.00" if content.startswith(b"strange") else "N/A"
sys.stderr.write("  Duration: " + duration + ", start: 0.000000, bitrate: 64 kb/s\\n")
sys.stdout.buffer.write(struct.pack(">4s5I", b".snd", 32, 0xFFFFFFFF, 6, 22050, 2) + bytes(8) + content[7:])
"""


@pytest.fixture
def strange_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of 12 s that only the ffmpeg on PATH, a stand-in, can decode."""
    (tmp_path / "ffmpeg").write_text(FAKE_FFMPEG)
    (tmp_path / "ffmpeg").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / "a.strange"
    path.write_bytes(b"strange" + chirps(22050, 12.0, 2).astype(">f4").tobytes())
    return path


def test_ffmpeg_decodes_what_soundfile_cannot(strange_file: Path) -> None:
    assert probe(strange_file) == AudioInfo(12.0, 2, 22050)
    everything = whole(strange_file)
    expected = soxr.resample(chirps(22050, 12.0, 2).astype(np.float32), 22050, SAMPLE_RATE).T
    np.testing.assert_allclose(everything, expected, atol=1e-6)
    np.testing.assert_allclose(read(strange_file, channel=2, tbeg=5.5, dur=2.0), everything[1, 88000:120000], atol=1e-5)


def test_what_ffmpeg_tells_no_duration_of_is_measured(strange_file: Path) -> None:
    """As of what a browser recorded."""
    expected = whole(strange_file)
    strange_file.write_bytes(b"streams" + strange_file.read_bytes()[7:])
    assert probe(strange_file) == AudioInfo(12.0, 2, 22050)
    np.testing.assert_array_equal(whole(strange_file), expected)


def test_what_ffmpeg_cannot_decode_either_is_refused(strange_file: Path) -> None:
    strange_file.write_bytes(b"unknown")
    with pytest.raises(StdSearchError, match="no audio that libsndfile or ffmpeg knows"):
        probe(strange_file)


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 5000])
def test_raw_samples_come_however_the_pipe_cuts_them(at_once: int) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 1001).astype("<i2")

    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(min(at_once, size or 0))

    pieces = list(raw_blocks(Pipe(samples.tobytes() + b"\x01")))
    assert all(piece.dtype == np.float32 for piece in pieces)
    assert (np.concatenate(pieces) * 32768).tolist() == samples.tolist()


def test_a_raw_stream_of_half_a_sample() -> None:
    assert sum(map(len, raw_blocks(io.BytesIO(b"\x01")))) == 0


def test_a_raw_stream_of_nothing_is_told() -> None:
    with pytest.raises(StdSearchError, match="standard input: no audio came; check the program"):
        next(raw_blocks(io.BytesIO(b"")))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_file_is_no_raw_stream(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / f"a{suffix}", chirps(16000, 0.1), 16000)
    with open(tmp_path / f"a{suffix}", "rb") as stream, pytest.raises(StdSearchError, match="is a file with a header"):
        list(raw_blocks(stream))


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lat\udcfc.wav"
    write_wav(tmp_path / "a.wav", chirps(16000, 1.0))
    (tmp_path / "a.wav").rename(path)
    with pytest.raises(StdSearchError, match=r"lat\\udcfc.wav': has a name that is not UTF-8; rename it"):
        probe(path)
