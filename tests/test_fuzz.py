"""Thousands of spoilt archives and models, opened, searched and verified by tests/fuzz.py in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from indexer import shards
from indexer.build import build_archive
from indexer.metadata import read_metadata
from indexer.removal import remove_recordings
from indexer.sources import find_sources
from stdsearch import vector_settings
from stdsearch.audio import SAMPLE_RATE, write_wav
from stdsearch.calibrate import BY_VERIFIER, UNCALIBRATED, to_json
from stdsearch.encoder import load_encoder, save_encoder
from stdsearch.slicing import SlicingSettings
from stdsearch.vector_settings import VectorChoice
from stdsearch.verifier import Verifier, VerifierSettings
from stdsearch.verifier.storage import save_verifier
from tests.conftest import babble

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, encoder_file: Path) -> Path:
    """What tests/fuzz.py spoils: archives of three recordings in two shards and a verifier; and a spoken example."""
    folder = tmp_path_factory.mktemp("fuzz")
    audio = folder / "audio"
    audio.mkdir()
    write_wav(audio / "a.wav", babble(2, seed=1))
    write_wav(audio / "b.wav", babble(1.5, seed=2))
    soundfile.write(audio / "two.wav", np.stack([babble(2.6, 4), babble(2.6, 5)], axis=1), SAMPLE_RATE)
    write_wav(folder / "example.wav", babble(2, seed=1)[8000:16000])
    (folder / "years.csv").write_text("file,year\na,1950\nb,1960\ntwo,1980\n")
    sources = find_sources([audio])
    metadata = read_metadata(folder / "years.csv", [source.path for source in sources])
    model = folder / "encoder.safetensors"
    calibration = to_json({"text": UNCALIBRATED, "both": UNCALIBRATED})
    save_encoder(load_encoder(encoder_file), model, {"calibration": calibration})
    encoder = load_encoder(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_SECONDS", 3.0)
        patch.setattr(vector_settings, "TRAINED_FROM", 100)
        for name, kind in (("exact", "exact"), ("flat", "ivf-flat"), ("pq", "ivf-pq"), ("removed", "ivf-sq8")):
            build_archive(
                sources,
                folder / "archives" / name,
                encoder,
                encoder_file=model,
                settings=SlicingSettings(speech_only=False),
                vectors=VectorChoice(kind),
                metadata=metadata,
            )
        remove_recordings(folder / "archives" / "removed", ["b"])
    torch.manual_seed(0)
    verifier = Verifier(VerifierSettings(width=8, dim=8, positions=4, hidden=8, heads=2), encoder.fingerprint)
    save_verifier(verifier, folder / "verifier.safetensors", {"calibration": to_json({"both": BY_VERIFIER})})
    return folder


@pytest.mark.parametrize(
    ("n_inputs", "number"), [(200, 0), *(pytest.param(2500, number, marks=pytest.mark.slow) for number in range(1, 5))]
)
def test_whatever_a_stranger_sends_ends_in_an_error_that_says_so(folder: Path, n_inputs: int, number: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz", str(folder), "--inputs", str(n_inputs), "--seed", str(number)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    last = (folder / "input").read_text() if (folder / "input").exists() else "none"
    assert ended.returncode == 0, f"the last input was {last}\n{ended.stderr[-5000:]}"
