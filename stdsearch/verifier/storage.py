"""Verifiers on disk: safetensors weights in half precision; settings, encoder, calibration in JSON metadata."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.model_file import check_settings, read_model, write_model
from stdsearch.networks import weights_of, with_weights
from stdsearch.verifier.network import Verifier, VerifierSettings

FORMAT = "stdsearch-verifier-1"


def default_verifier_path() -> Path:
    """The verifier that ships with the package, for the encoder that does."""
    return Path(str(files("stdsearch") / "models" / "verifier.safetensors"))


def save_verifier(verifier: Verifier, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write weights (float16), settings, the encoder's fingerprint, and metadata: its own with the caller's over it.

    Raises StdSearchError if path cannot be written.
    """
    header = {
        "format": FORMAT,
        "settings": json.dumps(asdict(verifier.settings)),
        "encoder": verifier.encoder_fingerprint,
    }
    write_model(path, weights_of(verifier), {**verifier.metadata, **(metadata or {}), **header})


def load_verifier(path: Path | None = None) -> Verifier:
    """The verifier saved at path, or the one that ships, ready for inference.

    Raises StdSearchError for a file that is missing, truncated, or not a verifier of this version.
    """
    path = Path(path) if path else default_verifier_path()
    remedy = "give a .safetensors file exported from a run of `stdsearch train plcl`"
    weights, header = read_model(path, what="a verifier", version=FORMAT, remedy=remedy)
    try:
        settings = VerifierSettings(**json.loads(header["settings"]))
        check_settings(settings)
        verifier = with_weights(lambda: Verifier(settings, header["encoder"]), weights)
    except (KeyError, TypeError, ValueError, AssertionError, RuntimeError) as error:
        reason = in_a_line(error) or type(error).__name__
        raise StdSearchError(f"{path}: settings and weights do not fit ({reason}); export the verifier again") from None
    verifier.metadata = {key: value for key, value in header.items() if key not in ("format", "settings", "encoder")}
    return verifier
