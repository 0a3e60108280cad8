"""A span encoder for search, in numpy: torch takes longer to import than all else that a query takes together.

Each method equals that of `encoder.span.SpanEncoder` in float32, which tests hold it to; only to hear a spoken example,
torch is imported and the whole encoder loaded.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from stdsearch import kernels
from stdsearch.encoder.file import read_encoder, settings_from, that_fits
from stdsearch.encoder.interface import Frames, SearchEncoder, pad_phones, unit_rows
from stdsearch.encoder.settings import MAX_PHONES, ROWS_PER_FRAME, VARIANCE_FLOOR, EncoderSettings
from stdsearch.phones import SYMBOLS
from stdsearch.threads import give_torch_its_threads

_LARGEST = 80.0  # logit that has an exponential in float32; to find the largest of each row takes as long as these
_EPSILON = np.float32(1e-5)  # what torch's LayerNorm adds to the variance
_LEAST_NORM = np.float32(1e-12)  # that torch's normalize divides by


def load_for_search(path: Path) -> SearchEncoder:
    """The encoder saved at path, a span encoder in numpy and any other as `storage.load_encoder` gives and raises."""
    kind, settings, weights, metadata = read_encoder(path)
    if kind == "span":
        with that_fits(path):
            return LightEncoder(path, settings_from(settings, EncoderSettings), weights, metadata)
    from stdsearch.encoder.storage import load_encoder

    return load_encoder(path)


class LightEncoder:
    """A span encoder by the weights in its file; raises ValueError if they are not those of the settings."""

    rows_per_frame = ROWS_PER_FRAME

    def __init__(
        self, path: Path, settings: EncoderSettings, weights: Mapping[str, np.ndarray], metadata: Mapping[str, str]
    ) -> None:
        self.settings, self.metadata, self._path = settings, metadata, path
        s, n, c, own = settings, len(SYMBOLS), settings.text_channels, _Weights(weights)
        self.log_prior = own.get("log_prior", n)
        self._phone, self._from_start, self._from_end = (
            own.get(f"text.{name}.weight", rows, c)
            for name, rows in (("phone", n), ("from_start", MAX_PHONES), ("from_end", MAX_PHONES))
        )
        self._blocks = [
            (own.linear(f"text.blocks.{i}.linear", 3 * c, c), own.norm(f"text.blocks.{i}.norm", c))
            for i in range(s.text_blocks)
        ]
        self._norm = own.norm("text.norm", c)
        self._text_head, self._span_head = (
            _Head(own, name, (s.parts + 1) * width, s) for name, width in (("text.head", c), ("span_head", s.hidden))
        )
        self._phone_head = own.linear("phone_head", s.hidden, ROWS_PER_FRAME * n)
        self._edge_head = own.linear("edge_head", s.hidden, ROWS_PER_FRAME)

    def frames(self, waveform: np.ndarray) -> Frames:
        """See Encoder; imports torch."""
        heard = self._whole
        give_torch_its_threads()
        return heard.frames(waveform)

    @cached_property
    def _whole(self) -> SearchEncoder:
        from stdsearch.encoder.storage import load_encoder

        return load_encoder(self._path)

    def embed_spans(self, frames: Frames, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """See Encoder."""
        length = len(frames.hidden)
        begin = np.clip(np.asarray(tbeg) / frames.frame_seconds, 0, length - 0.5)
        end = np.maximum(np.minimum(np.asarray(tend) / frames.frame_seconds, length), begin + 0.5)
        return self._span_head(self._pooled(frames.hidden, begin, end))

    def embed_phones(self, pronunciations: Sequence[Sequence[str]]) -> np.ndarray:
        """See Encoder."""
        phones, lengths = pad_phones(pronunciations)
        (n, longest), place, last = phones.shape, np.arange(phones.shape[1]), MAX_PHONES - 1
        mask = (place < lengths[:, None]).astype(np.float32)[..., None]
        x = self._phone[phones] + self._from_start[np.minimum(place, last)]
        x = (x + self._from_end[np.clip(lengths[:, None] - 1 - place, 0, last)]) * mask
        padded = np.zeros((n, longest + 2, x.shape[2]), np.float32)
        for linear, norm in self._blocks:
            padded[:, 1:-1] = x
            context = np.concatenate([padded[:, :-2], x, padded[:, 2:]], axis=2).reshape(n * longest, -1)
            x += np.maximum(norm(linear(context)), 0).reshape(x.shape) * mask
        rows = np.zeros((n * longest, x.shape[2] + 1), np.float32)  # attention logits of zero
        rows[:, :-1] = self._norm(x.reshape(n * longest, -1))
        begin = longest * np.arange(n)
        return self._text_head(self._pooled(rows, begin, begin + lengths))

    def phone_log_posteriors(self, frames: Frames) -> np.ndarray:
        """See Encoder."""
        return _log_softmax(self._phone_logits(frames))

    def edge_log_odds(self, frames: Frames) -> np.ndarray:
        """See Encoder."""
        return self._edge_head(frames.hidden[:, :-1]).ravel()

    def match_vectors(self, frames: Frames) -> np.ndarray:
        """See SpanEncoder."""
        vectors = unit_rows(frames.hidden[:, :-1])
        roots = np.exp(_log_softmax(self._phone_logits(frames)) / 2).reshape(len(vectors), -1)
        return np.concatenate([vectors * np.float32(0.5**0.5), roots * np.float32(0.5)], axis=1)

    def _pooled(self, rows: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        return kernels.pool_spans(rows, begin, end, self.settings.parts, variance_floor=VARIANCE_FLOOR)

    def _phone_logits(self, frames: Frames) -> np.ndarray:
        return self._phone_head(frames.hidden[:, :-1]).reshape(-1, len(SYMBOLS))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row (n, k), in place."""
    if max(logits.max(), -logits.min()) > _LARGEST:
        logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


class _Weights:
    """The weights of a file, each of the shape that it is asked for; raises ValueError for one that is not."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = weights

    def get(self, name: str, *shape: int) -> np.ndarray:
        if name not in self._weights:
            raise ValueError(f"lacks {name}")
        found = self._weights[name]
        if (found.shape, found.dtype) != (shape, np.float32):
            raise ValueError(f"{name} is {found.shape} {found.dtype}, not {shape} float32")
        return found

    def linear(self, name: str, n_in: int, n_out: int) -> "_Linear":
        return _Linear(self.get(f"{name}.weight", n_out, n_in), self.get(f"{name}.bias", n_out))

    def norm(self, name: str, width: int) -> "_LayerNorm":
        return _LayerNorm(self.get(f"{name}.weight", width), self.get(f"{name}.bias", width))


class _Linear:
    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self._weight, self._bias = np.ascontiguousarray(weight.T), bias  # so, few rows take half the time

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = x @ self._weight
        y += self._bias
        return y


class _LayerNorm:
    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = x - x.mean(axis=-1, keepdims=True)
        y /= np.sqrt(np.square(y).mean(axis=-1, keepdims=True) + _EPSILON)
        y *= self._weight
        y += self._bias
        return y


class _Head:
    """`encoder.span.SpanHead`: from a pooled span to its embedding, L2-normalised."""

    def __init__(self, own: _Weights, name: str, width: int, settings: EncoderSettings) -> None:
        self._first = own.linear(f"{name}.layers.0", width, settings.head)
        self._norm = own.norm(f"{name}.layers.1", settings.head)
        self._second = own.linear(f"{name}.layers.4", settings.head, settings.dim)

    def __call__(self, pooled: np.ndarray) -> np.ndarray:
        embedding = self._second(np.maximum(self._norm(self._first(pooled)), 0))
        embedding /= np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), _LEAST_NORM)
        return embedding
