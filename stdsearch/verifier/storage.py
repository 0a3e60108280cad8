"""Verifiers on disk: safetensors weights in half precision; settings, encoder, calibration in JSON metadata."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stdsearch.errors import StdSearchError
from stdsearch.verifier.network import Verifier, VerifierSettings

FORMAT = "stdsearch-verifier-1"


def default_verifier_path() -> Path:
    """The verifier that ships with the package, for the encoder that does."""
    return Path(str(files("stdsearch") / "models" / "verifier.safetensors"))


def save_verifier(verifier: Verifier, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write weights (float16), settings, the encoder's fingerprint, and metadata: its own with the caller's over it.

    Raises StdSearchError if path cannot be written.
    """
    weights = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in verifier.state_dict().items()
    }
    header = {
        "format": FORMAT,
        "settings": json.dumps(asdict(verifier.settings)),
        "encoder": verifier.encoder_fingerprint,
    }
    try:
        save_file(weights, path, metadata={**verifier.metadata, **(metadata or {}), **header})
    except (SafetensorError, OSError) as error:
        raise StdSearchError(f"{path}: cannot be written ({error}); name another place") from None


def load_verifier(path: Path | None = None) -> Verifier:
    """The verifier saved at path, or the one that ships, ready for inference.

    Raises StdSearchError for a file that is missing, truncated, or not a verifier of this version.
    """
    path = Path(path) if path else default_verifier_path()
    if not path.is_file():
        raise StdSearchError(f"{path}: no such verifier; give a .safetensors file made from a run of `train plcl`")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise StdSearchError(f"{path}: not a readable safetensors file ({error}); fetch or export it again") from None
    if header.get("format") != FORMAT:
        found = header.get("format", "none")
        raise StdSearchError(f"{path}: not a verifier that this version reads (format {found}, wanted {FORMAT})")
    try:
        verifier = Verifier(VerifierSettings(**json.loads(header["settings"])), header["encoder"])
        verifier.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip() if str(error) else type(error).__name__
        raise StdSearchError(f"{path}: settings and weights do not fit ({reason}); export the verifier again") from None
    verifier.metadata = {key: value for key, value in header.items() if key not in ("format", "settings", "encoder")}
    return verifier.eval()
