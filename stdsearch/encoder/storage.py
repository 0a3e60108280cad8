"""Encoders on disk: safetensors weights in half precision, settings and provenance in their JSON metadata."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from stdsearch.encoder.base import Encoder
from stdsearch.encoder.bilstm import BiLSTMEncoder, BiLSTMSettings
from stdsearch.encoder.ecapa import ECAPAEncoder, ECAPASettings
from stdsearch.encoder.span import EncoderSettings, SpanEncoder
from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.features import MelSettings
from stdsearch.model_file import check_settings, read_model, with_weights, write_model

FORMAT = "stdsearch-encoder-1"
KINDS: dict[str, tuple[type[Any], type[Any]]] = {  # an encoder's class and its settings
    "span": (SpanEncoder, EncoderSettings),
    "ecapa": (ECAPAEncoder, ECAPASettings),
    "bilstm": (BiLSTMEncoder, BiLSTMSettings),
}


def default_encoder_path() -> Path:
    """The model that ships with the package."""
    return Path(str(files("stdsearch") / "models" / "base.safetensors"))


def save_encoder(encoder: Encoder, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write weights (float16), settings, and the encoder's metadata with the caller's over it.

    Raises StdSearchError if path cannot be written.
    """
    # log_mel follows from the settings
    weights = {name: value for name, value in encoder.state_dict().items() if not name.startswith("log_mel.")}
    header = {"format": FORMAT, "kind": encoder.kind, "settings": json.dumps(asdict(encoder.settings))}
    write_model(path, weights, {**encoder.metadata, **(metadata or {}), **header})


def load_encoder(path: Path | None = None) -> Encoder:
    """The encoder saved at path, or the one that ships, ready for inference.

    Raises StdSearchError for a file that is missing, truncated, or not an encoder of this version.
    """
    path = Path(path) if path else default_encoder_path()
    remedy = "give a .safetensors file made by `stdsearch train export`"
    weights, header = read_model(path, what="an encoder", version=FORMAT, remedy=remedy)
    if header.get("kind") not in KINDS:
        raise StdSearchError(
            f"{path}: not an encoder that this version reads "
            f"(kind {in_a_line(header.get('kind'))!r}, wanted {', '.join(KINDS)})"
        )
    try:
        settings = json.loads(header["settings"])
        encoder = with_weights(lambda: build_encoder(header["kind"], settings), weights)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
        reason = in_a_line(error)
        raise StdSearchError(f"{path}: settings and weights do not fit ({reason}); export the encoder again") from None
    encoder.metadata = {key: value for key, value in header.items() if key not in ("format", "kind", "settings")}
    return encoder


def build_encoder(kind: str, settings: dict[str, Any]) -> Encoder:
    """An encoder of a kind, with random weights, by settings as plain values; errors as those of `settings_from`."""
    encoder: Encoder = KINDS[kind][0](settings_from(settings, kind))
    return encoder


def settings_from(values: dict[str, Any], kind: str = "span") -> Any:
    """Settings of a kind of encoder from the plain values that JSON gives back.

    Raises KeyError, TypeError or ValueError if they are none.
    """
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    plain["mel"] = MelSettings(**values["mel"])
    settings = KINDS[kind][1](**plain)
    check_settings(plain["mel"])
    check_settings(settings)
    return settings
