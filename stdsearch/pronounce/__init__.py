"""How a term sounds: text to all its pronunciations in ARPAbet without stress, with no network."""

from stdsearch.pronounce.pronouncer import Pronouncer

__all__ = ["Pronouncer"]
