"""The words of a transcript, as they are aligned and later searched for: lower case, bare of punctuation."""

import re
from collections.abc import Callable

_PUNCTUATION = '.,;:!?"()[]{}<>-_*~¡¿…“”„«»–—'  # at the edge of a word; %, $, & and the like are spoken
_APOSTROPHES = str.maketrans("’‘`´", "''''")
_BREAK = re.compile(r"\s+|[–—…/]|--+")
_NON_SPEECH = re.compile(r"[\[<](?!unk|spoken|oov)[^\]>]*[\]>]|!sil\b")  # [laughter], <noise>; <unk> is speech unknown
_UNKNOWN_SPEECH = re.compile(r"[\[<](?:unk|spoken|oov)[^\]>]*[\]>]")
_INITIALS = re.compile(r"(?:\w\.){2,}")


def words_of(text: str, in_dictionary: Callable[[str], bool]) -> list[str]:
    """The words of a transcript; in_dictionary tells an apostrophe that belongs to its word from a quotation mark.

    Marks of other sounds ([noise], <sil>, !SIL) are left out. A mark of speech that was not understood (<unk>,
    <spoken_noise>) stays as it is: no one can pronounce it.

    >>> words_of("“It's 5 o'clock,” said F.B.I. man-at-arms Smith -- [laughs] 'tis 'late'!", {"'tis"}.__contains__)
    ["it's", '5', "o'clock", 'said', 'f.b.i.', 'man-at-arms', 'smith', "'tis", 'late']
    """
    speech = _NON_SPEECH.sub(" ", text.lower().translate(_APOSTROPHES))
    words = (_bare(token, in_dictionary) for token in _BREAK.split(speech))
    return [word for word in words if word]


def _bare(token: str, in_dictionary: Callable[[str], bool]) -> str:
    if _UNKNOWN_SPEECH.fullmatch(token):
        return token
    word = token.strip(_PUNCTUATION + "'")
    if _INITIALS.fullmatch(word + "."):
        return word + "."
    if token.strip(_PUNCTUATION).startswith("'") and in_dictionary("'" + word):
        return "'" + word
    return word
