"""Transcribed speech in, a manifest with word and phone times out: sources, splits, forced alignment, report."""
