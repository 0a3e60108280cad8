import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stdsearch.errors import StdSearchError
from stdsearch.verifier import Verifier, VerifierSettings, load_verifier, save_verifier
from stdsearch.verifier.storage import FORMAT

TINY = VerifierSettings(width=6, dim=4, positions=5, hidden=8, heads=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    verifier = Verifier(TINY, "abc")
    verifier.bank.copy_(torch.randn(verifier.bank.shape))
    save_verifier(verifier, tmp_path / "v.safetensors", {"recipe": "plcl"})
    return tmp_path / "v.safetensors"


def test_what_is_saved_comes_back(file: Path, tmp_path: Path) -> None:
    verifier = load_verifier(file)
    assert (verifier.settings, verifier.encoder_fingerprint) == (TINY, "abc")
    assert verifier.metadata == {"recipe": "plcl"}
    assert not verifier.training
    save_verifier(verifier, tmp_path / "again.safetensors", {"calibration": "{}"})
    again = load_verifier(tmp_path / "again.safetensors")
    assert again.metadata == {"recipe": "plcl", "calibration": "{}"}
    spans = [np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)]
    assert again.score(spans, phones=("S", "T")) == verifier.score(spans, phones=("S", "T"))
    assert again.bank.any()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="no such verifier"):
        load_verifier(tmp_path / "nowhere.safetensors")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="cannot be written"):
        save_verifier(Verifier(TINY), tmp_path / "nowhere" / "v.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, -10])
def test_a_truncated_file_is_refused(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(StdSearchError, match="not a readable safetensors file"):
        load_verifier(file)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "stdsearch-encoder-1"}, f"format stdsearch-encoder-1, wanted {FORMAT}"),
        ({"settings": "{"}, "do not fit"),
        ({"settings": json.dumps({"width": 6, "depth": 9})}, "do not fit"),
        ({"settings": json.dumps({"width": 7})}, "do not fit"),
        ({"settings": json.dumps({"hidden": 9, "heads": 2})}, "do not fit"),
        ({"encoder": None}, "do not fit"),
    ],
)
def test_a_file_that_is_something_else_is_refused(file: Path, change: dict[str, str | None], complaint: str) -> None:
    with safe_open(file, framework="pt") as opened:
        header, weights = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    changed = {key: value for key, value in {**header, **change}.items() if value is not None}
    save_file(weights, file, metadata=changed)
    with pytest.raises(StdSearchError, match=complaint):
        load_verifier(file)


def test_missing_weights_are_refused(file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        header, weights = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    del weights["bank"]
    save_file(weights, file, metadata=header)
    with pytest.raises(StdSearchError, match="do not fit"):
        load_verifier(file)
