import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile
import torch

from indexer.build import build_archive
from indexer.metadata import read_metadata
from indexer.sources import find_sources
from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.encoder import Encoder, EncoderSettings, SpanEncoder, build_encoder, load_encoder, save_encoder, span
from stdsearch.search import Archive
from stdsearch.slicing import SlicingSettings

hypothesis.settings.register_profile("patient", deadline=None)  # how long a disk or a compiler takes says nothing
hypothesis.settings.load_profile("patient")
span.FAST_BF16 = ()  # random weights tell little apart, and whether they do must not hang on the CPU
# what a test starts can be interrupted, also where pytest itself was started to ignore that, as shells do behind "&"
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with random weights, the same in every run."""
    torch.manual_seed(0)
    tiny = EncoderSettings(
        channels=16, dilations=(1, 2), hidden=8, parts=2, dim=8, head=16, text_channels=8, text_blocks=1
    )
    path = tmp_path_factory.mktemp("encoder") / "tiny.safetensors"
    save_encoder(SpanEncoder(tiny), path, {})
    return path


@pytest.fixture(scope="session")
def encoder(encoder_file: Path) -> SpanEncoder:
    return load_encoder(encoder_file)


SMALL = {  # settings of a tiny encoder of every kind
    "span": {"mel": {"n_mels": 20}, "channels": 16, "dilations": [1, 2], "hidden": 8, "parts": 2, "dim": 8, "head": 16},
    "ecapa": {"mel": {"n_mels": 20}, "channels": 16, "scale": 4, "squeeze": 8, "dim": 8, "phone_dim": 4},
    "bilstm": {"mel": {"n_mels": 20}, "hidden": 8, "layers": 2, "phone_dim": 4, "dim": 8},
}


@pytest.fixture(scope="session", params=SMALL)
def any_encoder(request: pytest.FixtureRequest) -> Encoder:
    """A tiny encoder of each kind in turn, with random weights."""
    torch.manual_seed(0)
    return build_encoder(request.param, SMALL[request.param]).eval()


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording of so many seconds below tmp_path / "audio": noise that comes and goes like syllables."""

    def write(name: str, seconds: float, *, seed: int = 0) -> Path:
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        n = round(seconds * SAMPLE_RATE)
        noise = np.random.default_rng(seed).normal(size=n)
        write_wav(path, 0.1 * noise * np.sin(np.arange(n) * 8 / SAMPLE_RATE) ** 2)
        return path

    return write


def babble(seconds: float, seed: int) -> np.ndarray:
    """Sounds of three random tones, 0.1 s each, so that no place sounds like another: (n,) at 16 kHz."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = np.exp(random.uniform(np.log(150), np.log(6000), (int(10 * seconds) + 1, 3)))
    tones = np.sin(2 * np.pi * hertz[(10 * time).astype(int)] * time[:, None]).sum(axis=1)
    return 0.1 * tones + random.normal(0, 0.01, len(time))


@pytest.fixture(scope="session")
def archive_folder(tmp_path_factory: pytest.TempPathFactory, encoder_file: Path, encoder: SpanEncoder) -> Path:
    """An archive of eleven seconds in four recordings, in "archive", and what it was made from, in "audio"."""
    folder = tmp_path_factory.mktemp("indexed")
    audio = folder / "audio"
    (audio / "news").mkdir(parents=True)
    write_wav(audio / "news" / "long.wav", babble(3, seed=1))
    write_wav(audio / "odd.wav", babble(2.405, seed=2))
    write_wav(audio / "short.wav", babble(0.25, seed=3))
    soundfile.write(audio / "two.wav", np.stack([babble(2.6, seed=4), babble(2.6, seed=5)], axis=1), SAMPLE_RATE)
    (folder / "years.csv").write_text("file,year\nlong,1950\nodd,1960\nshort,1970\ntwo,1980\n")
    sources = find_sources([audio])
    build_archive(
        sources,
        folder / "archive",
        encoder,
        encoder_file=encoder_file,
        settings=SlicingSettings(speech_only=False),
        metadata=read_metadata(folder / "years.csv", [source.path for source in sources]),
    )
    return folder


@pytest.fixture(scope="session")
def archive(archive_folder: Path) -> Archive:
    return Archive.open(archive_folder / "archive")
