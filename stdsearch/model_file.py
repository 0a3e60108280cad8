"""Models on disk: safetensors, weights in half precision and everything else as JSON in the header; no pickle.

A stranger's file costs no more memory than it has bytes, twice that for weights.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from stdsearch.errors import StdSearchError, in_a_line

LARGEST_SIZE = 8192  # of anything in a network's settings: channels, layers, dilations
MOST_SIZES = 64  # in a list of such
STORED = ("F16", "F32", "I64")  # the types of weights: halves, or as trained, and counters


def write_model(path: Path, weights: Mapping[str, np.ndarray], header: Mapping[str, str]) -> None:
    """Write weights, floats as float16, and a header. Raises StdSearchError if path cannot be written."""
    stored = {
        name: value.astype(np.float16) if np.issubdtype(value.dtype, np.floating) else value
        for name, value in weights.items()
    }
    partial = path.with_name(f"{path.name}.new")
    try:
        partial.write_bytes(save(stored, metadata=dict(header)))  # save_file would let nobody else read it
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StdSearchError(f"{path}: cannot be written ({error.strerror}); name another place") from None


def read_model(path: Path, *, what: str, version: str, remedy: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Weights, as float32, and the header of a model whose header says that its "format" is `version`.

    what: its name for a message, "an encoder"; remedy: what to do where there is none. Raises StdSearchError for a
    file that is missing, truncated, of another format, or holds weights that are no finite numbers.
    """
    if not path.is_file():
        raise StdSearchError(f"{path}: no such {what.split()[-1]}; {remedy}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            names = list(file.keys())
            if any(file.get_slice(name).get_dtype() not in STORED for name in names):
                raise StdSearchError(f"{path}: holds weights that are not {', '.join(STORED)}; export it again")
            stored = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, MemoryError) as error:
        raise StdSearchError(
            f"{path}: not a readable safetensors file ({in_a_line(error)}); fetch or export it again"
        ) from None
    if header.get("format") != version:
        found = header.get("format", "none")
        raise StdSearchError(
            f"{path}: not {what} that this version reads (format {in_a_line(found)}, wanted {version})"
        )
    weights = {
        name: value.astype(np.float32) if np.issubdtype(value.dtype, np.floating) else value
        for name, value in stored.items()
    }
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise StdSearchError(f"{path}: holds weights that are no finite numbers; export it again")
    return weights, header


def check_settings(settings: Any) -> None:
    """Raise ValueError unless values in a dataclass of settings have its types, and sizes that a network can have."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        sizes = value if isinstance(value, tuple) else (value,)
        if field.type in (int, tuple[int, ...]):
            right = isinstance(value, int) is (field.type is int) and len(sizes) <= MOST_SIZES
            right = right and all(type(size) is int and 1 <= size <= LARGEST_SIZE for size in sizes)
        elif field.type is float:
            right = type(value) in (int, float) and abs(value) <= LARGEST_SIZE
        elif field.type is bool:
            right = type(value) is bool
        else:
            continue
        if not right:
            raise ValueError(f"{field.name} cannot be {str(value)[:40]}")
