"""The vector index of an archive, made from its segments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stdsearch.archive.segments import SegmentReader, from_codes
from stdsearch.encoder import load_for_search
from stdsearch.pronounce.lexicon import Dictionary
from stdsearch.stages import OnStage, in_turn, unseen
from stdsearch.vector_settings import VectorSettings
from stdsearch.vectors import FaissIndex

TRIED_WORDS = 100
MOST_IN_MEMORY = 512 << 20  # bytes of an index being filled, of 75 hours; while lists grow they take up to twice that


def new_index(
    shards: Sequence[SegmentReader],
    dim: int,
    settings: VectorSettings,
    live: np.ndarray,
    *,
    scratch: Path,
    on_stage: OnStage = unseen,
) -> FaissIndex:
    """The index of all shards' embeddings, id = segment_id, to be saved.

    live is a mask over segment ids; those of removed recordings are left out. What would take too much memory waits on
    the disk of the folder `scratch`.
    """
    on_stage("Learning the vector index", None)
    index = FaissIndex.empty(dim, settings, _sample(shards, dim, live, settings.training_vectors))
    _add(index, shards, live, scratch, on_stage)
    return index


def updated_index(
    old: Path,
    shards: Sequence[SegmentReader],
    dim: int,
    *,
    removed: np.ndarray,
    added: np.ndarray,
    on_stage: OnStage = unseen,
) -> FaissIndex:
    """What the index in the file `old` becomes without some segments and with others, masks over segment ids.

    shards need hold no more than what is added. It is to be saved, and what is in `old` stays there until then.
    """
    on_stage("Reading the vector index", None)
    index = FaissIndex.load(old, dim, writable=True)
    index.remove(np.flatnonzero(removed))
    _add(index, shards, added, old.parent, on_stage)
    return index


def tune_by_words(saved: Path, dim: int, encoder: Path, recall: float) -> int:
    """Set in the file of an index how many lists are visited, as finds what words of the dictionary are nearest to.

    Few of them are said in an archive, and what is nearest to one that is not lies scattered over more lists. Returns
    that number, 0 of an exact index.
    """
    index = FaissIndex.load(saved, dim)
    if index.is_exact:
        return 0
    pronunciations = Dictionary().all_pronunciations()
    drawn = np.random.default_rng(0).choice(len(pronunciations), TRIED_WORDS, replace=False)
    words = load_for_search(encoder).embed_phones([pronunciations[number] for number in drawn])
    n_probe = index.tune(words, recall)
    index.save_n_probe(saved)
    return n_probe


def _sample(shards: Sequence[SegmentReader], dim: int, live: np.ndarray, n_vectors: int) -> np.ndarray | None:
    """About n_vectors embeddings (n, dim), evenly from all that are live; None if none are asked for."""
    if not n_vectors:
        return None
    chosen = np.flatnonzero(live)[:: max(1, int(live.sum()) // n_vectors)]
    sample = np.empty((len(chosen), dim), np.float32)  # to be filled: pieces would keep blocks, or their places, alive
    for shard in shards:
        first, last = np.searchsorted(chosen, (shard.first_id, shard.first_id + len(shard)))
        sample[first:last] = from_codes(shard.codes_at(chosen[first:last] - shard.first_id))
    return sample


def _add(
    index: FaissIndex, shards: Sequence[SegmentReader], wanted: np.ndarray, scratch: Path, on_stage: OnStage
) -> None:
    for shard in in_turn(shards, "Filling the vector index", on_stage, weights=[len(shard) for shard in shards]):
        for ids, block in shard.embeddings():
            here = wanted[ids]
            if here.any():
                index.add(ids[here], block[here])
            if index.bytes_in_memory > MOST_IN_MEMORY:
                index.set_down(scratch)
