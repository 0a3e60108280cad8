"""The vector index of an archive, made from its segments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stdsearch.archive.segments import SegmentReader
from stdsearch.vectors import FaissIndex, VectorSettings


def write_vectors(path: Path, shards: Sequence[SegmentReader], dim: int, live: np.ndarray) -> VectorSettings:
    """Write the index of all shards' embeddings, of the kind that their number asks for, id = segment_id.

    live is a mask over segment ids; those of removed recordings are left out.
    """
    n_segments = int(live.sum())
    settings = VectorSettings.for_size(n_segments)
    index = FaissIndex.empty(dim, settings)
    if settings.training_vectors:
        every = max(1, n_segments // settings.training_vectors)
        sample = [block[live[ids]][::every] for shard in shards for ids, block in shard.embeddings()]
        index.train(np.concatenate(sample))
    _add(index, shards, live)
    index.save(path)
    return settings


def update_vectors(
    old: Path, path: Path, shards: Sequence[SegmentReader], dim: int, *, removed: np.ndarray, added: np.ndarray
) -> None:
    """Write the index that `old` becomes without some segments and with others, masks over segment ids.

    shards need hold no more than what is added.
    """
    index = FaissIndex.load(old, dim, writable=True)
    index.remove(np.flatnonzero(removed))
    _add(index, shards, added)
    index.save(path)


def _add(index: FaissIndex, shards: Sequence[SegmentReader], wanted: np.ndarray) -> None:
    for shard in shards:
        for ids, block in shard.embeddings():
            here = wanted[ids]
            if here.any():
                index.add(ids[here], block[here])
