"""Encoders: acoustic frames and span embeddings, and pronunciations in the same space; saved without pickle.

What search needs of them is there without torch; the networks come with it, when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stdsearch.encoder.interface import Frames, SearchEncoder, pad_phones
from stdsearch.encoder.light import load_for_search
from stdsearch.encoder.settings import EncoderSettings

if TYPE_CHECKING:
    from stdsearch.encoder.base import Encoder
    from stdsearch.encoder.bilstm import BiLSTMEncoder, BiLSTMSettings
    from stdsearch.encoder.ecapa import ECAPAEncoder, ECAPASettings
    from stdsearch.encoder.segment import SegmentEncoder
    from stdsearch.encoder.span import SpanEncoder
    from stdsearch.encoder.storage import build_encoder, load_encoder, save_encoder

_WITH_TORCH = {
    "BiLSTMEncoder": "bilstm",
    "BiLSTMSettings": "bilstm",
    "ECAPAEncoder": "ecapa",
    "ECAPASettings": "ecapa",
    "Encoder": "base",
    "SegmentEncoder": "segment",
    "SpanEncoder": "span",
    "build_encoder": "storage",
    "load_encoder": "storage",
    "save_encoder": "storage",
}

__all__ = [
    "BiLSTMEncoder",
    "BiLSTMSettings",
    "ECAPAEncoder",
    "ECAPASettings",
    "Encoder",
    "EncoderSettings",
    "Frames",
    "SearchEncoder",
    "SegmentEncoder",
    "SpanEncoder",
    "build_encoder",
    "load_encoder",
    "load_for_search",
    "pad_phones",
    "save_encoder",
]


def __getattr__(name: str) -> Any:
    """What needs torch, imported when first asked for."""
    if name in _WITH_TORCH:
        return getattr(import_module(f"stdsearch.encoder.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'stdsearch.encoder' has no attribute {name!r}")
