"""What a recipe is, and what every recipe is given.

The loop knows of a recipe only this: it has a model, makes the batch of a step, and gives its loss. Everything random
in a batch follows from the seed and the step's number, so that a resumed run sees what an undisturbed one would.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from stdsearch.encoder import Encoder
from stdsearch.errors import StdSearchError
from train.manifest import Utterance
from train.speech import Phones

Product = Literal["encoder", "verifier"]


def _silently(items: Sequence[Utterance]) -> Iterable[Utterance]:
    return items


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a recipe learns from, and where.

    folder: the manifest's; cache: a directory for features, which can be made again; noise: background recordings;
    dictionary: pronunciations that serve as wrong answers; corpus_weight: factor on how often a corpus is drawn;
    encoder: the file of the encoder that a recipe builds upon, None for the one that ships.
    """

    utterances: Sequence[Utterance]
    folder: Path
    cache: Path
    noise: Sequence[Path] = ()
    dictionary: Sequence[Phones] = ()
    corpus_weight: tuple[tuple[str, float], ...] = ()
    encoder: Path | None = None
    seed: int = 0
    device: str = "cpu"
    progress: Callable[[Sequence[Utterance]], Iterable[Utterance]] = _silently

    def of_split(self, split: str) -> list[Utterance]:
        """The utterances of a split."""
        return [utterance for utterance in self.utterances if utterance.split == split]


class Recipe(ABC):
    """A model and how it learns; the constructor of each takes its settings and Inputs."""

    name: ClassVar[str]
    product: ClassVar[Product] = "encoder"  # what is exported: the part of the model of this name
    criterion: ClassVar[str]  # the figure of `evaluate` that tells the better of two models
    steps_per_epoch: int
    model: nn.Module
    start: str | None = None  # fingerprint of the encoder that `start_from` took

    def start_from(self, encoder: Encoder) -> None:
        """Take the weights of a trained encoder instead of random ones.

        Raises StdSearchError if it is none of this recipe, or of other settings.
        """
        own: Encoder = self.model.encoder  # type: ignore[assignment]
        if own.kind != encoder.kind or own.settings != encoder.settings:
            raise StdSearchError(
                f"{self.name}: cannot start from encoder {encoder.fingerprint[:16]}, which is of another kind or "
                "other settings; give one that this recipe has made, of the same variant and size"
            )
        own.load_state_dict(encoder.state_dict())
        self.start = encoder.fingerprint

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that must be equal for a checkpoint to go on, and that export needs; JSON."""

    @abstractmethod
    def batch(self, step: int) -> Any:
        """The batch of a step, on the CPU: dataclasses and sequences of tensors. Called in another thread."""

    @abstractmethod
    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch and figures to log; "frames" counts the mel frames read, for the speed."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures on dev of an averaged copy of the model; empty where dev gives none."""

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The parameters by their weight decay, which matrices have and vectors have not.

        A group may have "scale", the factor of its learning rate.
        """
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]


def to_device(batch: Any, device: torch.device | str) -> Any:
    """The batch with its tensors on a device."""
    device = torch.device(device)
    if device.type == "cpu":
        return batch
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{field.name: to_device(getattr(batch, field.name), device) for field in fields(batch)})
    if isinstance(batch, (list, tuple)) and any(isinstance(item, Tensor) or is_dataclass(item) for item in batch):
        return type(batch)(to_device(item, device) for item in batch)
    return batch
