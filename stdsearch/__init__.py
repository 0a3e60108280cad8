"""Spoken term detection: find where a term is said in an archive of recordings.

>>> import stdsearch
>>> archive = stdsearch.Archive.open("ARCHIVE")  # doctest: +SKIP
>>> archive.search("evening").hits[0]  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from stdsearch.errors import StdSearchError
from stdsearch.types import Hit, Spoken, Term, TermHits

if TYPE_CHECKING:
    from stdsearch.search import Archive

__version__ = "0.1.0"
__all__ = ["Archive", "Hit", "Spoken", "StdSearchError", "Term", "TermHits", "__version__"]


def __dir__() -> list[str]:
    """The names of the API, of which Archive is not there before it is asked for."""
    return __all__


def __getattr__(name: str) -> Any:
    """Archive, imported when first asked for: it brings faiss and numba, which the scorer must not."""
    if name == "Archive":
        from stdsearch.search import Archive

        return Archive
    raise AttributeError(f"module 'stdsearch' has no attribute {name!r}")
