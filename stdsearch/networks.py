"""Networks that take over the weights of a file.

They are made without weights, and take over those of the file where their shapes are their own.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_Model = TypeVar("_Model", bound=nn.Module)


class _Unfilled(TorchFunctionMode):
    """Inside, networks get no random weights, which on the meta device cost a second and more of imports."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def with_weights(make: Callable[[], _Model], weights: Mapping[str, np.ndarray]) -> _Model:
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
    given = {name: torch.from_numpy(value) for name, value in weights.items()}
    for name, value in wanted.items():
        found = given[name]
        if (found.shape, found.dtype) != (value.shape, value.dtype):
            raise ValueError(f"{name} is {tuple(found.shape)} {found.dtype}, not {tuple(value.shape)} {value.dtype}")
    model.load_state_dict(given, strict=False, assign=True)
    return model.eval()


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    """The network's weights by name, as `model_file.write_model` writes them."""
    return {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
