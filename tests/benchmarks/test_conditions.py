from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conditions import (
    ROOMS,
    Room,
    Speech,
    conditions,
    direct_to_reverberant,
    in_noise,
    in_room,
    over_telephone,
    read_noises,
    reverberation_time,
)
from scipy.signal import butter, sosfilt

from stdsearch.audio import SAMPLE_RATE, read, write_wav
from stdsearch.errors import StdSearchError


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE).astype(np.float32) / 4


def power(x: np.ndarray) -> float:
    return float(np.mean(x.astype(np.float64) ** 2))


def bursts(seconds: float = 2.0) -> np.ndarray:
    """Noise in short bursts, so that a shift in time shows."""
    random = np.random.default_rng(0)
    noise = random.normal(size=round(seconds * SAMPLE_RATE)) * (np.arange(round(seconds * SAMPLE_RATE)) % 4000 < 900)
    return sosfilt(butter(4, [400, 3000], "bandpass", fs=SAMPLE_RATE, output="sos"), noise).astype(np.float32) / 8


@pytest.mark.parametrize("snr", [20, 0])
def test_noise_has_the_power_that_the_ratio_to_the_words_asks_for(snr: int) -> None:
    waveform = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), tone(300)])
    speech = Speech(waveform, np.array([[1.0, 2.0]]))
    noisy = in_noise(speech, np.random.default_rng(0), noises=[tone(1000, 0.5)], snr=snr)
    added = noisy - waveform
    assert 10 * np.log10(power(tone(300)) / power(added)) == pytest.approx(snr, abs=0.1)


def test_every_ratio_draws_the_same_stretch_of_noise() -> None:
    speech = Speech(tone(300), np.array([[0.0, 1.0]]))
    noises = [np.random.default_rng(i).normal(size=9000) for i in range(4)]
    loud, quiet = (
        in_noise(speech, np.random.default_rng([0, 7]), noises=noises, snr=snr) - speech.waveform for snr in (0, 20)
    )
    assert np.corrcoef(loud, quiet)[0, 1] > 0.999


def test_a_room_equals_the_sum_over_its_mirror_images() -> None:
    room = Room((3.0, 2.5, 2.2), (0.7, 0.9, 1.4), (2.1, 1.3, 1.0), reflection=0.7, seconds=0.05)
    response = np.zeros(round(room.seconds * SAMPLE_RATE))
    direct = np.linalg.norm(np.subtract(room.talker, room.microphone))
    for cell in product(range(-9, 10), repeat=3):
        for mirrored in product((0, 1), repeat=3):
            image = [
                (1 - 2 * u) * s + 2 * m * size
                for u, s, m, size in zip(mirrored, room.talker, cell, room.size, strict=True)
            ]
            walls = sum(abs(m - u) + abs(m) for m, u in zip(cell, mirrored, strict=True))
            distance = np.linalg.norm(np.subtract(image, room.microphone))
            at = round((distance - direct) / 343.0 * SAMPLE_RATE)
            if at < len(response):
                response[at] += direct / distance * room.reflection**walls
    assert response[0] == 1
    expected = sosfilt(butter(2, 50, "highpass", fs=SAMPLE_RATE, output="sos"), response)
    np.testing.assert_allclose(room.response, expected, atol=1e-9)


def test_reverberation_time_of_a_known_decay() -> None:
    decay = np.random.default_rng(0).normal(size=SAMPLE_RATE) * 10 ** (-3 * np.arange(SAMPLE_RATE) / SAMPLE_RATE / 0.5)
    assert reverberation_time(decay) == pytest.approx(0.5, rel=0.05)


def test_the_large_room_rings_longer_than_the_small_one() -> None:
    small, large = ROOMS["small"].response, ROOMS["large"].response
    assert 0.2 < reverberation_time(small) < 0.4
    assert 0.7 < reverberation_time(large) < 1.1
    assert direct_to_reverberant(large) < direct_to_reverberant(small) < 0


def test_the_telephone_keeps_its_band_only() -> None:
    random, words = np.random.default_rng(0), np.array([[0.0, 1.0]])
    inside, below, above = (over_telephone(Speech(tone(f), words), random) for f in (1000.0, 100.0, 5000.0))
    assert power(inside) == pytest.approx(power(tone(1000)), rel=0.05)
    assert power(below) < power(tone(100)) / 100
    assert power(above) < power(tone(5000)) / 100


@pytest.mark.parametrize("name", ["clean", "small room", "MP3, 16 kbit/s", "Opus, 12 kbit/s", "telephone"])
def test_times_stay_whatever_becomes_of_the_sound(name: str, tmp_path: Path) -> None:
    condition = next(c for c in conditions([np.ones(9)], None) if c.name == name)
    speech = Speech(bursts(), np.array([[0.0, 2.0]]))
    path = tmp_path / f"spoilt{condition.suffix}"
    condition.write(path, condition.change(speech, np.random.default_rng(0)))
    spoilt = read(path)
    lag = int(np.argmax(np.correlate(spoilt, speech.waveform, "full"))) - len(speech.waveform) + 1
    assert abs(lag) / SAMPLE_RATE < 0.08
    assert abs(len(spoilt) - len(speech.waveform)) / SAMPLE_RATE < 0.1


def test_silence_follows_what_was_said() -> None:
    (condition,) = (c for c in conditions([np.ones(9)], None) if "silence" in c.name)
    speech = Speech(bursts(), np.array([[0.0, 2.0]]))
    heard = condition.change(speech, np.random.default_rng(0))
    assert len(heard) == 5 * len(speech.waveform)
    assert (heard[: len(speech.waveform)] == speech.waveform).all()
    assert not heard[len(speech.waveform) :].any()


def test_low_rates_make_small_files(tmp_path: Path) -> None:
    known = {c.name: c for c in conditions([np.ones(9)], None)}
    sizes = {}
    for name in ("MP3, 16 kbit/s", "MP3, 8 kbit/s", "Opus, 16 kbit/s", "Opus, 12 kbit/s", "Opus, 6 kbit/s"):
        path = tmp_path / f"file{known[name].suffix}"
        known[name].write(path, bursts(10.0))
        sizes[name] = path.stat().st_size * 8 / 1000 / 10
    assert all(kbits < 1.2 * float(name.split()[1]) + 1 for name, kbits in sizes.items())
    assert sizes["MP3, 16 kbit/s"] > 1.5 * sizes["MP3, 8 kbit/s"]
    assert sizes["Opus, 16 kbit/s"] > sizes["Opus, 12 kbit/s"] > sizes["Opus, 6 kbit/s"]


def test_a_room_changes_the_sound_after_its_source_not_before() -> None:
    waveform = np.zeros(8000, np.float32)
    waveform[4000] = 1.0
    heard = in_room(Speech(waveform, np.empty((0, 2))), np.random.default_rng(0), room=ROOMS["small"])
    assert np.abs(heard[:4000]).max() < 1e-6
    assert heard[4000] == pytest.approx(1.0, abs=0.05)
    assert np.abs(heard[4001:]).max() > 0.05


def test_babble_is_left_out_where_there_is_none() -> None:
    names = [c.name for c in conditions([np.ones(9)], None)]
    assert names[0] == "clean"
    assert not any("babble" in name or "voice" in name for name in names)


def test_other_voices_come_from_training_speakers(tmp_path: Path) -> None:
    rows = ["utterance\tspeaker\tsplit\taudio\ttext"]
    for i in range(7):
        write_wav(tmp_path / f"{i}.wav", tone(200.0 * (i + 1), 60))
        rows.append(f"u{i}\ts{i}\t{'train' if i < 6 else 'test'}\t{i}.wav\ta")
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("\n".join(rows) + "\n")
    known = {c.name: c for c in conditions([np.ones(9)], manifest)}
    speech = Speech(bursts(), np.array([[0.0, 2.0]]))
    heard = known["a voice 20 dB louder behind"].change(speech, np.random.default_rng(0))
    before, behind = np.split(heard, 2)
    np.testing.assert_allclose(before, speech.waveform / 10, atol=1e-7)
    assert power(behind) == pytest.approx(speech.power(), rel=1e-3)
    spectrum = np.abs(np.fft.rfft(behind))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(behind) in 200.0 * np.arange(1, 7)
    assert "babble, 10 dB" in known


def test_a_folder_without_noise_is_told(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="holds no noise"):
        read_noises(tmp_path)
