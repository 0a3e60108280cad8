"""The commands that write archives: `stdsearch index`, `remove`, `compact`, `merge`, and `repair`."""

from indexer.cli.index import index
from indexer.cli.life import compact, merge, remove, repair

__all__ = ["compact", "index", "merge", "remove", "repair"]
