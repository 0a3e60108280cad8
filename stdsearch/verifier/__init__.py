"""Verifiers: whether a stretch of speech is the enrolled term, from the frame vectors that an archive stores."""

from stdsearch.verifier.network import MARGIN, Verifier, VerifierSettings, cut, interval_means
from stdsearch.verifier.storage import load_verifier, save_verifier

__all__ = ["MARGIN", "Verifier", "VerifierSettings", "cut", "interval_means", "load_verifier", "save_verifier"]
