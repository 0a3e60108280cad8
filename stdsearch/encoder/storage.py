"""Encoders on disk: safetensors weights in half precision, settings and provenance in their JSON metadata."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stdsearch.encoder.base import Encoder
from stdsearch.encoder.bilstm import BiLSTMEncoder, BiLSTMSettings
from stdsearch.encoder.ecapa import ECAPAEncoder, ECAPASettings
from stdsearch.encoder.file import FORMAT, default_encoder_path, read_encoder, settings_from, that_fits
from stdsearch.encoder.settings import EncoderSettings
from stdsearch.encoder.span import SpanEncoder
from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.model_file import write_model
from stdsearch.networks import weights_of, with_weights

KINDS: dict[str, tuple[type[Any], type[Any]]] = {  # an encoder's class and its settings
    "span": (SpanEncoder, EncoderSettings),
    "ecapa": (ECAPAEncoder, ECAPASettings),
    "bilstm": (BiLSTMEncoder, BiLSTMSettings),
}


def save_encoder(encoder: Encoder, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write weights (float16), settings, and the encoder's metadata with the caller's over it.

    Raises StdSearchError if path cannot be written.
    """
    # log_mel follows from the settings
    weights = {name: value for name, value in weights_of(encoder).items() if not name.startswith("log_mel.")}
    header = {"format": FORMAT, "kind": encoder.kind, "settings": json.dumps(asdict(encoder.settings))}
    write_model(path, weights, {**encoder.metadata, **(metadata or {}), **header})


def load_encoder(path: Path | None = None) -> Encoder:
    """The encoder saved at path, or the one that ships, ready for inference.

    Raises StdSearchError for a file that is missing, truncated, or not an encoder of this version.
    """
    path = Path(path) if path else default_encoder_path()
    kind, settings, weights, metadata = read_encoder(path)
    if kind not in KINDS:
        raise StdSearchError(
            f"{path}: not an encoder that this version reads (kind {in_a_line(kind)!r}, wanted {', '.join(KINDS)})"
        )
    with that_fits(path):
        encoder = with_weights(lambda: build_encoder(kind, settings), weights)
    encoder.metadata = metadata
    return encoder


def build_encoder(kind: str, settings: dict[str, Any]) -> Encoder:
    """An encoder of a kind, with random weights, by settings as plain values; errors as those of `settings_from`."""
    made, of_settings = KINDS[kind]
    encoder: Encoder = made(settings_from(settings, of_settings))
    return encoder
