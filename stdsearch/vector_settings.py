"""Which kind of index an archive's vectors get, by their number or by choice; the kinds are told in `vectors`.

The rule: exact below EXACT_BELOW vectors, ivf-pq from there on; 2^round(log2 sqrt(n)) lists, MOST_LISTS at most.
"""

from dataclasses import dataclass
from math import log2, sqrt

AUTO = "auto"  # the kind that the rule gives
KINDS = ("exact", "ivf-flat", "ivf-sq8", "ivf-pq")
EXACT_BELOW = 50_000  # vectors, of a quarter of an hour: they take 26 MB, and a query a millisecond or two
MOST_LISTS = 16_384  # from 600 hours on; to learn them takes over two minutes of CPU, half as many a quarter of it
TRAINED_FROM = 1000  # vectors: from fewer, lists cannot be learnt, and the index is exact whatever was chosen
TRAINING_VECTORS_PER_LIST = 40  # faiss warns below 39; 64 take 1.6 times as long and find 0.1 % more
RECALL = 0.99  # the share of the nearest vectors that is to be found


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """The kind of index, and, of an inverted file, how many lists it has and how many of them a query visits."""

    kind: str = "exact"
    n_lists: int = 0
    n_probe: int = 0

    @classmethod
    def for_size(cls, n_vectors: int, chosen: str = AUTO) -> "VectorSettings":
        """What the rule above gives, or that of a chosen kind; how many lists to visit is left to `FaissIndex.tune`.

        >>> VectorSettings.for_size(1000), VectorSettings.for_size(1_000_000)
        (VectorSettings(kind='exact', n_lists=0, n_probe=0), VectorSettings(kind='ivf-pq', n_lists=1024, n_probe=0))
        """
        kind = chosen if chosen != AUTO else "exact" if n_vectors < EXACT_BELOW else "ivf-pq"
        if kind == "exact" or n_vectors < TRAINED_FROM:
            return cls()
        return cls(kind, min(2 ** round(log2(sqrt(n_vectors))), MOST_LISTS))

    @property
    def training_vectors(self) -> int:
        """How many vectors training wants."""
        return self.n_lists * TRAINING_VECTORS_PER_LIST


@dataclass(frozen=True, slots=True)
class VectorChoice:
    """What a user may choose: one of KINDS or AUTO, and the share of the nearest that is to be found."""

    chosen: str = AUTO
    recall: float = RECALL

    def __post_init__(self) -> None:
        if self.chosen not in (AUTO, *KINDS):
            raise ValueError(f"{self.chosen!r} is no kind of index; it is one of {', '.join((AUTO, *KINDS))}")
        if not 0 < self.recall <= 1:
            raise ValueError(f"a recall of {self.recall} is not above 0 and at most 1")
