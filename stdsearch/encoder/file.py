"""What the file of an encoder holds, known without torch; `storage` makes networks of it, `light` what search needs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from stdsearch.errors import StdSearchError, in_a_line
from stdsearch.mel_settings import MelSettings
from stdsearch.model_file import check_settings, read_model

FORMAT = "stdsearch-encoder-1"
OWN = ("format", "kind", "settings")  # what in a header is not metadata

_Settings = TypeVar("_Settings")


class EncoderFile(NamedTuple):
    """What was read: the kind of encoder, its settings as plain values, float32 weights by name, and metadata."""

    kind: str
    settings: Any
    weights: dict[str, np.ndarray]
    metadata: dict[str, str]


def default_encoder_path() -> Path:
    """The model that ships with the package."""
    return Path(str(files("stdsearch") / "models" / "base.safetensors"))


def read_encoder(path: Path) -> EncoderFile:
    """The encoder in a file; raises StdSearchError if that is missing, truncated, or of another version."""
    remedy = "give a .safetensors file made by `stdsearch train export`"
    weights, header = read_model(path, what="an encoder", version=FORMAT, remedy=remedy)
    with that_fits(path):
        settings = json.loads(header["settings"])
    metadata = {key: value for key, value in header.items() if key not in OWN}
    return EncoderFile(header.get("kind", ""), settings, weights, metadata)


@contextmanager
def that_fits(path: Path) -> Iterator[None]:
    """Inside, errors that come of settings or weights that are none of an encoder become a StdSearchError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
        reason = in_a_line(error)
        raise StdSearchError(f"{path}: settings and weights do not fit ({reason}); export the encoder again") from None


def settings_from(values: dict[str, Any], made: type[_Settings]) -> _Settings:
    """Settings of a kind of encoder from the plain values that JSON gives back.

    Raises KeyError, TypeError or ValueError if they are none.
    """
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    plain["mel"] = MelSettings(**values["mel"])
    settings = made(**plain)
    check_settings(plain["mel"])
    check_settings(settings)
    return settings
