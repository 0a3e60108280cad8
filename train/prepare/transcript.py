"""The words of a transcript, bare of punctuation."""

import re
from collections.abc import Callable

_PUNCTUATION = '.,;:!?"()[]{}<>-_*~^|\\•©®™¡¿…“”„«»–—'  # at the edge of a word; %, $, & and the like are spoken
_APOSTROPHES = str.maketrans("’‘`´", "''''")
_BREAK = re.compile(r"\s+|[–—…/]|--+")
_NOT_UNDERSTOOD = re.compile(r"[\[<](?:unk|spoken|oov)[^\]>]*[\]>]", re.IGNORECASE)
_NO_SPEECH = re.compile(r"[\[<](?!unk|spoken|oov)[^\]>]*[\]>]|!sil\b", re.IGNORECASE)
_INITIALS = re.compile(r"(?:\w\.){2,}")


def words_of(text: str, in_dictionary: Callable[[str], bool]) -> list[str]:
    """The words of a transcript as it writes them, but in lower case if it is all in capitals.

    in_dictionary tells an apostrophe that belongs to its word from a quotation mark. Marks of other sounds ([noise],
    <sil>, !SIL) are left out. A mark of speech that was not understood (<unk>, <spoken_noise>) is left as it is.

    >>> words_of("“It's 5 o'clock,” said F.B.I. man-at-arms Smith -- [laughs] 'tis 'late'!", {"'tis"}.__contains__)
    ["It's", '5', "o'clock", 'said', 'F.B.I.', 'man-at-arms', 'Smith', "'tis", 'late']
    """
    speech = _NO_SPEECH.sub(" ", (text.lower() if text.isupper() else text).translate(_APOSTROPHES))
    words = (_bare(token, in_dictionary) for token in _BREAK.split(speech))
    return [word for word in words if word]


def is_understood(word: str) -> bool:
    """Whether a word of words_of is one, not a mark of speech that was not understood."""
    return not _NOT_UNDERSTOOD.fullmatch(word)


def _bare(token: str, in_dictionary: Callable[[str], bool]) -> str:
    if not is_understood(token):
        return token
    word = token.strip(_PUNCTUATION + "'")
    if _INITIALS.fullmatch(word + "."):
        return word + "."
    if token.strip(_PUNCTUATION).startswith("'") and in_dictionary("'" + word):
        return "'" + word
    return word
