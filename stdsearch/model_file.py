"""Models on disk: safetensors, weights in half precision and everything else as JSON in the header; no pickle."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stdsearch.errors import StdSearchError


def write_model(path: Path, weights: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write weights, floats as float16, and a header. Raises StdSearchError if path cannot be written."""
    stored = {
        name: value.detach().to("cpu", torch.float16).contiguous() if value.is_floating_point() else value.cpu()
        for name, value in weights.items()
    }
    try:
        save_file(stored, path, metadata=dict(header))
    except (SafetensorError, OSError) as error:
        raise StdSearchError(f"{path}: cannot be written ({error}); name another place") from None


def read_model(path: Path, *, what: str, version: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights, as float32, and the header of a model whose header says that its "format" is `version`.

    what: its name for a message, "an encoder"; remedy: what to do where there is none. Raises StdSearchError for a
    file that is missing, truncated, or of another format.
    """
    if not path.is_file():
        raise StdSearchError(f"{path}: no such {what.split()[-1]}; {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise StdSearchError(f"{path}: not a readable safetensors file ({error}); fetch or export it again") from None
    if header.get("format") != version:
        found = header.get("format", "none")
        raise StdSearchError(f"{path}: not {what} that this version reads (format {found}, wanted {version})")
    return weights, header
