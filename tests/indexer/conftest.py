from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.encoder import EncoderSettings, SpanEncoder, load_encoder, save_encoder


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
