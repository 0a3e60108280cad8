"""Encoders: acoustic frames and span embeddings, and pronunciations in the same space; saved without pickle."""

from stdsearch.encoder.base import Encoder, Frames, pad_phones
from stdsearch.encoder.bilstm import BiLSTMEncoder, BiLSTMSettings
from stdsearch.encoder.ecapa import ECAPAEncoder, ECAPASettings
from stdsearch.encoder.segment import SegmentEncoder
from stdsearch.encoder.span import EncoderSettings, SpanEncoder
from stdsearch.encoder.storage import build_encoder, load_encoder, save_encoder

__all__ = [
    "BiLSTMEncoder",
    "BiLSTMSettings",
    "ECAPAEncoder",
    "ECAPASettings",
    "Encoder",
    "EncoderSettings",
    "Frames",
    "SegmentEncoder",
    "SpanEncoder",
    "build_encoder",
    "load_encoder",
    "pad_phones",
    "save_encoder",
]
