"""Words made comparable as NIST's KWSEval does it: letter case, and characters for words.

Chinese, Japanese and Thai are written without spaces, so transcribers part their words differently. Splitting terms
and transcript into characters makes the comparison independent of that. A token's time is shared out evenly
among its characters. These are KWSEval's text filters (-x): charsplit, notascii, deletehyphens.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from stdsearch.formats.kwlist import KWList
from stdsearch.formats.rttm import RTTMRow

CHARACTER = re.compile(r"\S")
CHARACTER_OR_ASCII_WORD = re.compile(r"[!-~]+|\S")


def comparable(text: str, compare_normalize: str) -> str:
    """The text as it is compared: in lower case if the KWList's compareNormalize says "lowercase", else as it is."""
    return text.lower() if compare_normalize == "lowercase" else text


@dataclass(frozen=True, slots=True)
class CharacterSplit:
    """Splits text into its characters (Unicode code points), parted by single spaces.

    whole_ascii_words leaves words in ASCII as they are; delete_hyphens takes a hyphen for a space.

    >>> CharacterSplit().text("对症 ok")
    '对 症 o k'
    >>> CharacterSplit(whole_ascii_words=True, delete_hyphens=True).text("对症-x-ray")
    '对 症 x ray'
    """

    whole_ascii_words: bool = False
    delete_hyphens: bool = False

    def text(self, text: str) -> str:
        """The text, split."""
        pattern = CHARACTER_OR_ASCII_WORD if self.whole_ascii_words else CHARACTER
        return " ".join(pattern.findall(text.replace("-", " ") if self.delete_hyphens else text))

    def kwlist(self, kwlist: KWList) -> KWList:
        """The KWList with the text of every term split."""
        return replace(kwlist, terms=tuple(replace(term, text=self.text(term.text)) for term in kwlist.terms))

    def transcript(self, rows: Iterable[RTTMRow]) -> list[RTTMRow]:
        """The rows with every LEXEME split into rows of equal duration, times rounded to milliseconds as in KWSEval.

        A token that is all hyphens leaves no row when hyphens are deleted.
        """
        split: list[RTTMRow] = []
        for row in rows:
            tokens = self.text(row.ortho).split() if row.type == "LEXEME" else [row.ortho]
            if len(tokens) <= 1 or row.tbeg is None or row.dur is None:
                split.extend(row._replace(ortho=token) for token in tokens)
                continue
            dur = round(row.dur / len(tokens), 3)
            split.extend(
                row._replace(tbeg=round(row.tbeg + dur * i, 3), dur=dur, ortho=token) for i, token in enumerate(tokens)
            )
        return split
