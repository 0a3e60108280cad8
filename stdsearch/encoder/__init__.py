"""Encoders: acoustic frames and span embeddings, and pronunciations in the same space; saved without pickle."""

from stdsearch.encoder.span import EncoderSettings, Frames, SpanEncoder
from stdsearch.encoder.storage import load_encoder, save_encoder

__all__ = ["EncoderSettings", "Frames", "SpanEncoder", "load_encoder", "save_encoder"]
