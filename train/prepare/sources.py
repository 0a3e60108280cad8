"""Transcribed speech as people keep it: a table, a LibriSpeech tree, a Kaldi data directory."""

FORMATS = ("table", "librispeech", "kaldi")
