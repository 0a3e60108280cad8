"""The archive on disk: opened, read and checked here, filled by the indexer package.

    ARCHIVE/archive.json             which parts belong, with their sizes and checksums; written last
            encoder.safetensors      the encoder that made it
            catalog.parquet          a row for each recording, with the user's own columns
            segments/SHARD.parquet   slices and their embeddings: the truth
            frames/SHARD.arrow       frames of each recording channel, 8 bits a value
            runs.npy, spans.npy      where each segment lies, for look-up; made from the segments
            groups.npy, blocks.npy   where in the shards' files codes and frames lie, for look-up; made from them
            vectors.ivf              nearest neighbours, made from the segments

Recordings and segments have ids counted from 0; a recording's segments, and a shard's, have consecutive ids.
"""

from stdsearch.archive.catalog import Recording
from stdsearch.archive.reader import ArchiveReader, open_archive
from stdsearch.archive.segments import SegmentTable

__all__ = ["ArchiveReader", "Recording", "SegmentTable", "open_archive"]
