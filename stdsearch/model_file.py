"""Models on disk: safetensors, weights in half precision and everything else as JSON in the header; no pickle.

A stranger's file costs no more memory than it has bytes, twice that for weights: a network is made without weights,
and takes over those of the file where their shapes are its own.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stdsearch.errors import StdSearchError, in_a_line

LARGEST_SIZE = 8192  # of anything in a network's settings: channels, layers, dilations
MOST_SIZES = 64  # in a list of such
STORED = ("F16", "F32", "I64")  # the types of weights: halves, or as trained, and counters

_Model = TypeVar("_Model", bound=nn.Module)


def write_model(path: Path, weights: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write weights, floats as float16, and a header. Raises StdSearchError if path cannot be written."""
    stored = {
        name: value.detach().to("cpu", torch.float16).contiguous() if value.is_floating_point() else value.cpu()
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


def read_model(path: Path, *, what: str, version: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights, as float32, and the header of a model whose header says that its "format" is `version`.

    what: its name for a message, "an encoder"; remedy: what to do where there is none. Raises StdSearchError for a
    file that is missing, truncated, of another format, or holds weights that are no finite numbers.
    """
    if not path.is_file():
        raise StdSearchError(f"{path}: no such {what.split()[-1]}; {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
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
    weights = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise StdSearchError(f"{path}: holds weights that are no finite numbers; export it again")
    return weights, header


class _Unfilled(TorchFunctionMode):
    """Inside, networks get no random weights, which on the meta device cost a second and more of imports."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def with_weights(make: Callable[[], _Model], weights: Mapping[str, Tensor]) -> _Model:
    """The network that `make` makes, ready for inference, with these weights, which become its own.

    Raises ValueError, or what `make` raises, if they are not those that it has.
    """
    with torch.device("meta"), _Unfilled():
        model = make()
    wanted = {name: value for name, value in model.state_dict().items() if value.is_meta}
    if missing := sorted(wanted.keys() - weights.keys()):
        raise ValueError(f"lacks {missing[0]}")
    if extra := sorted(weights.keys() - wanted.keys()):
        raise ValueError(f"has {extra[0]}, which is not of it")
    for name, value in wanted.items():
        found = weights[name]
        if (found.shape, found.dtype) != (value.shape, value.dtype):
            raise ValueError(f"{name} is {tuple(found.shape)} {found.dtype}, not {tuple(value.shape)} {value.dtype}")
    model.load_state_dict(weights, strict=False, assign=True)
    return model.eval()


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
