"""Inner loops that numpy cannot express without their square in memory, compiled by numba.

Each has a definition in plain Python or torch, which tests hold it to. Some read memory maps by address: a query wants
a few rows of each of hundreds of files. Who calls them answers for the addresses, and for keeping the maps.
"""

import mmap
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic


def _pointer_to(kind: types.Type) -> Any:
    """For kernels: from an address, int64, to a pointer to values of a type, which `numba.carray` makes an array."""

    @intrinsic  # type: ignore[misc]
    def pointer(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return pointer


NOT_THERE, NOT_SOUND = -1, -2  # frames
_int8_at, _uint8_at, _float32_at = _pointer_to(types.int8), _pointer_to(types.uint8), _pointer_to(types.float32)


_PAGE, _WILL_NEED = mmap.PAGESIZE, mmap.MADV_WILLNEED
_madvise = types.ExternalFunction("madvise", types.int32(types.intp, types.intp, types.int32))  # of the C library


@numba.njit(cache=True, nogil=True)
def fetch(addresses: np.ndarray, n_bytes: int) -> None:
    """Have the pages of n_bytes at each of addresses (n,) int64 in memory maps read, all at the same time.

    A page that is not in memory when it is looked at is waited for alone.
    """
    for address in addresses:
        _fetch(address, n_bytes)


@numba.njit(cache=True, nogil=True)
def _fetch(address: int, n_bytes: int) -> None:
    page = address // _PAGE * _PAGE
    _madvise(page, address + n_bytes - page, _WILL_NEED)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def cosines_at(addresses: np.ndarray, queries: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Cosines (n,) float32 of queries (q, d) float32, L2-normalised, with rows of d codes int8 at addresses (n,) int64.

    query: (n,) which query each row is compared with. Equals `archive.segments.from_codes(rows) @ queries[query]`, row
    by row.
    """
    d = queries.shape[1]
    cosines = np.empty(len(addresses), np.float32)
    for i in range(len(addresses)):
        row, other = numba.carray(_int8_at(addresses[i]), d), queries[query[i]]
        product, square = np.float32(0), np.int32(0)
        for j in range(d):
            product += np.float32(row[j]) * other[j]
            square += np.int32(row[j]) * np.int32(row[j])
        cosines[i] = product / np.sqrt(np.float32(square if square else 1))
    return cosines


@numba.njit(cache=True, nogil=True)
def rows_at(addresses: np.ndarray, d: int) -> np.ndarray:
    """The rows (n, d) of d codes int8 at addresses (n,) int64."""
    rows = np.empty((len(addresses), d), np.int8)
    for i in range(len(addresses)):
        rows[i] = numba.carray(_int8_at(addresses[i]), d)
    return rows


def merge_overlaps(
    recording_id: np.ndarray,
    channel: np.ndarray,
    tbeg: np.ndarray,
    tend: np.ndarray,
    score: np.ndarray,
    *,
    term: np.ndarray | None = None,
) -> np.ndarray:
    """The places (n,) in which overlapping candidates are left once each, best first.

    Candidates are taken from the best on (of equals, the first); one is left out if the midpoint of it or of a better
    one that was kept lies inside the other. Only candidates of one recording channel, and with `term` of one term, are
    compared. Equals `merge_overlaps_plain`.
    """
    groups = [channel, recording_id] if term is None else [channel, recording_id, term]
    order = np.lexsort((-np.asarray(score, np.float64), *groups))
    changes = np.zeros(max(0, len(order) - 1), bool)
    for values in groups:
        changes |= np.diff(np.asarray(values)[order]) != 0
    bounds = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(order)]])
    kept = order[_apart(np.asarray(tbeg, np.float64)[order], np.asarray(tend, np.float64)[order], bounds)]
    return kept[np.lexsort((kept, -np.asarray(score, np.float64)[kept]))]


def merge_overlaps_plain(
    recording_id: np.ndarray,
    channel: np.ndarray,
    tbeg: np.ndarray,
    tend: np.ndarray,
    score: np.ndarray,
    *,
    term: np.ndarray | None = None,
) -> np.ndarray:
    """The definition of `merge_overlaps`, candidate by candidate."""
    term = np.zeros(len(score), int) if term is None else term
    middle = (np.asarray(tbeg, np.float64) + tend) / 2
    kept: list[int] = []
    for i in np.argsort(-np.asarray(score, np.float64), kind="stable"):
        better = [j for j in kept if (term[i], recording_id[i], channel[i]) == (term[j], recording_id[j], channel[j])]
        if not any(tbeg[j] <= middle[i] <= tend[j] or tbeg[i] <= middle[j] <= tend[i] for j in better):
            kept.append(int(i))
    return np.array(kept, np.int64)


@numba.njit(cache=True)
def _apart(tbeg: np.ndarray, tend: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Which candidates to keep (n,) bool; group g is bounds[g] to bounds[g + 1], best first."""
    keep = np.zeros(len(tbeg), np.bool_)
    kept = np.empty(len(tbeg), np.int64)
    for group in range(len(bounds) - 1):
        n_kept = 0
        for i in range(bounds[group], bounds[group + 1]):
            middle = (tbeg[i] + tend[i]) / 2
            keep[i] = True
            for j in kept[:n_kept]:
                other = (tbeg[j] + tend[j]) / 2
                if tbeg[j] <= middle <= tend[j] or tbeg[i] <= other <= tend[i]:
                    keep[i] = False
                    break
            if keep[i]:
                kept[n_kept] = i
                n_kept += 1
    return keep


@numba.njit(cache=True, nogil=True)
def _block_of(frame: int, blocks: np.ndarray, begin: int, end: int) -> int:
    """The last of blocks [begin, end) that begins at a frame or before it; the first where none does."""
    while end - begin > 1:
        middle = (begin + end) // 2
        if blocks[middle].first_frame <= frame:
            begin = middle
        else:
            end = middle
    return begin


@numba.njit(cache=True, nogil=True)
def frames_at(
    blocks: np.ndarray,
    bases: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    width: int,
    largest: float,
    in_advance: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames [first[i], last[i]) of n recording channels, end to end, from the blocks [begin[i], end[i]) of each.

    blocks: (m,) of dtype `archive.frames.BLOCK`, by their first frame; bases: (s,) int64, where in memory the files of
    their shards begin; begin, end, first, last: (n,). Returns the
    values (F, width) float32, the offsets (n + 1,) of each stretch among them, and the number (n,) of its first frame,
    NOT_THERE where there is none, NOT_SOUND where a block could have a value of `largest` or more. in_advance: all are
    fetched before the first is looked at. Equals `archive.frames.QuantisedFrames.values` of each block, cut.
    """
    n = len(begin)
    offsets, start = np.zeros(n + 1, np.int64), np.full(n, NOT_THERE, np.int64)
    for i in range(n):
        n_frames = 0
        for block in blocks[_block_of(first[i], blocks, begin[i], end[i]) : end[i]]:
            if block.first_frame >= last[i]:
                break
            here = max(first[i], block.first_frame)
            n_here = min(last[i], block.first_frame + block.n_frames) - here
            if n_here > 0:
                n_frames += n_here
                if start[i] < 0:
                    start[i] = here
                if in_advance:
                    base = bases[block.shard]
                    _fetch(base + block.codes + (here - block.first_frame) * width, n_here * width)
                    _fetch(base + block.low, 4 * width)
                    _fetch(base + block.step, 4 * width)
        offsets[i + 1] = offsets[i] + n_frames
    values = np.empty((offsets[n], width), np.float32)
    at = 0
    for i in range(n):
        for block in blocks[_block_of(first[i], blocks, begin[i], end[i]) : end[i]]:
            if block.first_frame >= last[i]:
                break
            here = max(first[i], block.first_frame)
            n_here = min(last[i], block.first_frame + block.n_frames) - here
            if n_here > 0:
                base = bases[block.shard]
                low = numba.carray(_float32_at(base + block.low), width)
                step = numba.carray(_float32_at(base + block.step), width)
                for j in range(width):
                    if not abs(low[j]) + 255 * abs(step[j]) < largest:  # nor nan
                        start[i] = NOT_SOUND
                codes = numba.carray(
                    _uint8_at(base + block.codes + (here - block.first_frame) * width), (n_here, width)
                )
                for t in range(n_here):
                    for j in range(width):
                        values[at, j] = np.float32(codes[t, j]) * step[j] + low[j]
                    at += 1
    return values, offsets, start


def pool_spans(
    frames: np.ndarray, begin: np.ndarray, end: np.ndarray, parts: int, *, variance_floor: float
) -> np.ndarray:
    """Pooled spans (n, (parts + 1) * d) float32 of one sequence of frames; defined by `encoder.pooling.pool_spans`.

    frames: (T, d + 1), a vector and, last, the attention logit each; begin, end: (n,) in frames, 0 <= begin < end <= T.
    Each span's own frames are summed: of slices, which have 5 to 40, that takes two thirds of what reading prefix sums
    does, and of the spans of many candidates, which share none, a tenth. Other threads run meanwhile.
    """
    rows = np.ascontiguousarray(frames, np.float32)
    weight = np.exp(rows[:, -1].astype(np.float64))
    return _pool(rows, weight, np.asarray(begin, np.float64), np.asarray(end, np.float64), parts, variance_floor)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # damaged frames, which weigh nothing, give no numbers
def _pool(
    frames: np.ndarray, weight: np.ndarray, begin: np.ndarray, end: np.ndarray, parts: int, floor: float
) -> np.ndarray:
    n_frames, d = len(frames), frames.shape[1] - 1
    pooled = np.empty((len(begin), (parts + 1) * d), np.float32)
    part, whole, square = np.empty((3, d), np.float32)
    for i in range(len(begin)):
        whole[:], square[:], total = 0, 0, np.float32(0)
        for k in range(parts):
            first = begin[i] + (end[i] - begin[i]) * k / parts
            last = begin[i] + (end[i] - begin[i]) * (k + 1) / parts
            part[:], inside = 0, np.float32(0)
            for t in range(int(first), min(int(np.ceil(last)), n_frames)):
                share = np.float32(weight[t] * (min(last, t + 1.0) - max(first, float(t))))
                inside += share
                for j in range(d):
                    weighted = share * frames[t, j]
                    part[j] += weighted
                    square[j] += weighted * frames[t, j]
            total += inside
            for j in range(d):
                whole[j] += part[j]
                pooled[i, k * d + j] = part[j] / inside
        for j in range(d):
            mean = whole[j] / total
            pooled[i, parts * d + j] = np.sqrt(max(square[j] / total - mean * mean, floor))
    return pooled
