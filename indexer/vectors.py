"""The vector index of an archive, made from its segments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stdsearch.archive.segments import SegmentReader
from stdsearch.vectors import FaissIndex, VectorSettings


def write_vectors(path: Path, shards: Sequence[SegmentReader], dim: int) -> VectorSettings:
    """Write the index of all shards' embeddings, of the kind that their number asks for, id = segment_id."""
    n_segments = sum(len(shard) for shard in shards)
    settings = VectorSettings.for_size(n_segments)
    index = FaissIndex.empty(dim, settings)
    if settings.training_vectors:
        every = max(1, n_segments // settings.training_vectors)
        index.train(np.concatenate([block[::every] for shard in shards for block in shard.embeddings()]))
    next_id = 0
    for shard in shards:
        for block in shard.embeddings():
            index.add(np.arange(next_id, next_id + len(block)), block)
            next_id += len(block)
    index.save(path)
    return settings
