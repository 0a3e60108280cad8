from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

import stdsearch.vectors
from stdsearch import inverted_lists
from stdsearch.errors import StdSearchError
from stdsearch.vector_settings import KINDS, VectorSettings
from stdsearch.vectors import FaissIndex, _gpu

RNG = np.random.default_rng(0)
DIM = 16
VECTORS = RNG.normal(size=(5000, DIM)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
IDS = np.arange(len(VECTORS))
QUERIES = VECTORS[:20] + 0.1 * RNG.normal(size=(20, DIM)).astype(np.float32)
EXACT = VectorSettings()
KINDS_OF_LISTS = [kind for kind in KINDS if kind != "exact"]
EVERY_KIND = [EXACT, *(VectorSettings(kind, n_lists=32) for kind in KINDS_OF_LISTS)]  # which visit every list
ROUNDING = {"exact": 1e-5, "ivf-flat": 1e-3, "ivf-sq8": 0.1, "ivf-pq": 0.2}  # of scores
every_kind = pytest.mark.parametrize("settings", EVERY_KIND, ids=lambda settings: settings.kind)
every_kind_of_lists = pytest.mark.parametrize("settings", EVERY_KIND[1:], ids=lambda settings: settings.kind)


def filled(settings: VectorSettings) -> FaissIndex:
    index = FaissIndex.empty(DIM, settings, VECTORS[::2])
    index.add(IDS, VECTORS)
    return index


def by_hand(k: int, allowed: np.ndarray) -> np.ndarray:
    scores = np.where(allowed, QUERIES @ VECTORS.T, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_exact_index_ranks_as_a_matrix_product() -> None:
    scores, ids = filled(EXACT).nearest(QUERIES, 10)
    np.testing.assert_array_equal(ids, by_hand(10, np.ones(len(VECTORS), bool)))
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ VECTORS.T, ids, axis=1), atol=1e-5)


@every_kind
def test_the_best_ten_are_among_a_hundred_found(settings: VectorSettings) -> None:
    scores, ids = filled(settings).nearest(QUERIES, 100)
    expected = by_hand(10, np.ones(len(VECTORS), bool))
    assert np.mean([np.isin(best, found).mean() for best, found in zip(expected, ids, strict=True)]) > 0.99
    exact = np.take_along_axis(QUERIES @ VECTORS.T, ids, axis=1)
    assert np.abs(scores - exact).max() < ROUNDING[settings.kind]
    assert (np.diff(scores) <= 0).all()


@every_kind
def test_many_queries_at_once_find_what_each_finds_alone(settings: VectorSettings) -> None:
    index = filled(settings)
    scores, _ = index.nearest(QUERIES, 100)
    alone = [index.nearest(query[None], 100)[0][0] for query in QUERIES]
    np.testing.assert_allclose(scores, alone, atol=1e-5)


@every_kind
def test_a_filter_gives_what_filtering_afterwards_gives(settings: VectorSettings) -> None:
    index = filled(settings)
    allowed = np.random.default_rng(1).random(len(VECTORS)) < 0.1
    scores, ids = index.nearest(QUERIES, 10, allowed=allowed)
    all_scores, all_ids = index.nearest(QUERIES, len(VECTORS))
    for row in range(len(QUERIES)):
        afterwards = allowed[all_ids[row]]
        np.testing.assert_allclose(scores[row], all_scores[row][afterwards][:10], atol=1e-5)
        ties = scores[row] == scores[row, -1]  # of rounded scores, in any order
        assert set(ids[row][~ties]) <= set(all_ids[row][afterwards][:10])
        assert allowed[ids[row]].all()


@every_kind
def test_missing_neighbours_have_no_id_and_no_score(settings: VectorSettings) -> None:
    scores, ids = filled(settings).nearest(QUERIES, 3, allowed=IDS == 7)
    np.testing.assert_array_equal(ids, [[7, -1, -1]] * len(QUERIES))
    assert np.isneginf(scores[:, 1:]).all()


@every_kind
def test_what_was_removed_is_not_found(settings: VectorSettings) -> None:
    index = filled(settings)
    _, before = index.nearest(QUERIES, 2)
    index.remove(np.append(before[:, 0], 999_999))
    assert len(index) == len(VECTORS) - len(np.unique(before[:, 0]))
    _, after = index.nearest(QUERIES, 50)
    assert not np.isin(after, before[:, 0]).any()


@every_kind
def test_survives_the_disk(settings: VectorSettings, tmp_path: Path) -> None:
    index = filled(settings)
    if not index.is_exact:
        index.tune(QUERIES, 0.5)
    index.save(tmp_path / "vectors.ivf")
    loaded = FaissIndex.load(tmp_path / "vectors.ivf", DIM)
    for got, expected in zip(loaded.nearest(QUERIES, 10), index.nearest(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(got, expected)


@every_kind
def test_a_saved_index_can_be_changed(settings: VectorSettings, tmp_path: Path) -> None:
    filled(settings).save(tmp_path / "index")
    index = FaissIndex.load(tmp_path / "index", DIM, writable=True)
    index.remove(IDS[:100])
    assert len(index) == len(IDS) - 100
    index.add(IDS[:100] + 9000, VECTORS[:100])
    index.remove(np.array([4999, 9001, 20_000]))
    index.add(np.array([4999, 9001]), VECTORS[[4999, 1]])
    assert sorted(np.concatenate(list(index.ids()))) == [*IDS[100:], *IDS[:100] + 9000]
    index.save(tmp_path / "changed")
    changed = FaissIndex.load(tmp_path / "changed", DIM)
    assert len(changed) == len(index) == len(IDS)
    np.testing.assert_array_equal(changed.nearest(QUERIES, 50)[0], filled(settings).nearest(QUERIES, 50)[0])


@every_kind_of_lists
def test_what_was_set_down_in_files_is_saved_as_what_is_in_memory(settings: VectorSettings, tmp_path: Path) -> None:
    filled(settings).save(tmp_path / "at-once")
    index = FaissIndex.empty(DIM, settings, VECTORS[::2])
    for begin in range(0, len(IDS), 777):
        index.add(IDS[begin : begin + 777], VECTORS[begin : begin + 777])
        index.set_down(tmp_path)
        assert index.bytes_in_memory == 0
    assert [path.name for path in tmp_path.iterdir()] == ["at-once"]
    with pytest.raises(ValueError, match="once it was saved and loaded"):
        index.nearest(QUERIES, 10)
    index.save(tmp_path / "by-and-by")
    assert (tmp_path / "by-and-by").read_bytes() == (tmp_path / "at-once").read_bytes()


@every_kind_of_lists
def test_what_is_removed_is_removed_from_files_and_memory(settings: VectorSettings, tmp_path: Path) -> None:
    index = FaissIndex.empty(DIM, settings, VECTORS[::2])
    index.add(IDS[:2000], VECTORS[:2000])
    index.set_down(tmp_path)
    index.add(IDS[2000:], VECTORS[2000:])
    index.remove(IDS[1::3])
    index.remove(IDS[1::6] + 1)
    index.add(IDS[1:30:3], VECTORS[1:30:3])
    index.save(tmp_path / "index")
    kept = np.setdiff1d(IDS, [*IDS[1::3], *IDS[1::6] + 1])
    kept = np.union1d(kept[kept < len(IDS)], IDS[1:30:3])
    assert len(index) == len(kept)
    by_itself = FaissIndex.empty(DIM, settings, VECTORS[::2])
    by_itself.add(kept, VECTORS[kept])
    loaded = FaissIndex.load(tmp_path / "index", DIM)
    assert sorted(np.concatenate(list(loaded.ids()))) == kept.tolist()
    np.testing.assert_array_equal(loaded.nearest(QUERIES, 50)[0], by_itself.nearest(QUERIES, 50)[0])


@every_kind
def test_how_many_lists_are_visited_can_be_saved_later(settings: VectorSettings, tmp_path: Path) -> None:
    index = filled(settings)
    index.save(tmp_path / "before")
    index.save(tmp_path / "index")
    if not index.is_exact:
        index.tune(QUERIES, 0.5)
    index.save(tmp_path / "after")
    FaissIndex.load(tmp_path / "after", DIM).save_n_probe(tmp_path / "index")
    assert (tmp_path / "index").read_bytes() == (tmp_path / "after").read_bytes()
    assert ((tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()) == index.is_exact


@pytest.mark.parametrize("n", [1, 31, 32, 70])
def test_blocks_of_codes_are_those_of_faiss(n: int) -> None:
    index = filled(VectorSettings("ivf-pq", n_lists=32))
    packer = index._inverted.get_CodePacker()
    codes = np.random.default_rng(n).integers(0, 256, (n, packer.code_size), np.uint8)
    blocks = np.zeros((-(-n // packer.nvec), packer.block_size), np.uint8)
    for number, code in enumerate(codes):
        packer.pack_1(code, number % packer.nvec, blocks[number // packer.nvec][None])
    np.testing.assert_array_equal(inverted_lists._packed(codes), blocks.ravel())
    unpacked = inverted_lists._unpacked(blocks.ravel(), packer.code_size)
    np.testing.assert_array_equal(unpacked[:n], codes)
    assert not unpacked[n:].any()


@every_kind_of_lists
def test_a_long_list_can_be_changed(settings: VectorSettings) -> None:
    """Longer than the lists of a thousand hours, for its short codes: faiss counts by their bytes."""
    short = np.ascontiguousarray(VECTORS[:, :8])

    def one_list() -> FaissIndex:
        index = FaissIndex.empty(8, VectorSettings(settings.kind, n_lists=1), short)
        index.add(IDS, short)
        return index

    index = one_list()
    index.remove(IDS[:7])
    index.add(IDS[:7], short[:7])
    np.testing.assert_array_equal(index.nearest(short[:20], 50)[0], one_list().nearest(short[:20], 50)[0])


@every_kind_of_lists
def test_as_few_lists_are_visited_as_find_what_is_asked(settings: VectorSettings) -> None:
    index = filled(settings)
    everywhere, _ = index.nearest(QUERIES, 100)
    n_probe = index.tune(QUERIES, 0.9)
    assert 1 < n_probe < settings.n_lists
    assert (index.nearest(QUERIES, 100)[0] >= everywhere[:, -1:]).mean() >= 0.9
    assert index.tune(QUERIES, 0.8) < n_probe < index.tune(QUERIES, 0.99)
    assert index.tune(QUERIES, 1) <= settings.n_lists


@every_kind_of_lists
def test_more_lists_are_visited_where_some_ids_are_allowed(settings: VectorSettings) -> None:
    """The nearest of a few lie farther away; by few lists most of them are missed."""
    index = filled(settings)
    n_probe, allowed = index.tune(QUERIES, 0.9), IDS % 20 == 0
    shares = []
    for most_more in (1, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stdsearch.vectors, "MOST_MORE", most_more)
            _, ids = index.nearest(QUERIES, 100, allowed=allowed)
        shares.append(np.mean([np.isin(best, own).mean() for best, own in zip(by_hand(20, allowed), ids, strict=True)]))
        assert allowed[ids[ids >= 0]].all()
    assert shares[0] < 0.9 < 0.95 < shares[1]
    assert index._inverted.nprobe == n_probe


def test_of_an_odd_number_of_dimensions_there_are_indexes_too(tmp_path: Path) -> None:
    vectors = np.ascontiguousarray(VECTORS[:, :15])
    index = FaissIndex.empty(15, VectorSettings("ivf-pq", n_lists=8), vectors)
    index.add(IDS, vectors)
    index.save(tmp_path / "index")
    found = FaissIndex.load(tmp_path / "index", 15).nearest(vectors[:20], 100)[1]
    assert (found == IDS[:20, None]).any(axis=1).mean() > 0.9


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A GPU that is none: the copies that it was given, which have their centres in the opposite order."""
    copies: list[Any] = []

    def copy(resources: object, device: int, index: Any) -> Any:
        copies.append(faiss.clone_index(index))
        if index.ntotal:
            copies[-1].reset()
            copies[-1].add(index.reconstruct_n(0, index.ntotal)[::-1].copy())
        return copies[-1]

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", copy, raising=False)
    _gpu.cache_clear()
    yield copies
    _gpu.cache_clear()


@every_kind_of_lists
def test_a_gpu_learns_the_lists_that_a_cpu_does(
    settings: VectorSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    FaissIndex.empty(DIM, settings, VECTORS[::2]).save(tmp_path / "without")
    copies = request.getfixturevalue("stand_in")
    FaissIndex.empty(DIM, settings, VECTORS[::2]).save(tmp_path / "with")
    (learner,) = copies
    assert learner.ntotal == settings.n_lists
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()


def test_a_gpu_finds_the_lists_of_vectors_that_are_added(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = VectorSettings("ivf-pq", n_lists=32)
    without = filled(settings)
    copies = request.getfixturevalue("stand_in")
    index = filled(settings)
    assert len(copies) == 2  # the other one learnt the lists
    assert list_sizes(index) == list_sizes(without)[::-1]
    for got, expected in zip(index.nearest(QUERIES, 10), without.nearest(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(got, expected)  # every list is visited, whatever its number

    index.save(tmp_path / "index")
    FaissIndex.load(tmp_path / "index", DIM).nearest(QUERIES, 10)
    loaded = FaissIndex.load(tmp_path / "index", DIM, writable=True)
    assert len(copies) == 2
    loaded.add(IDS[:10] + 9000, VECTORS[:10])
    loaded.add(IDS[10:20] + 9000, VECTORS[10:20])
    assert len(copies) == 3
    grown = list_sizes(loaded)
    own = without._inverted.quantizer.search(without._index.chain.at(0).apply(VECTORS[:20]), 1)[1][:, 0]
    np.testing.assert_array_equal(grown, np.bincount(31 - own, minlength=32))


@pytest.mark.parametrize(("visited", "same"), [(11, 1), (4, 0.8), (1, 0.3)])
def test_lists_of_new_vectors_are_found_in_the_nearest_groups_of_lists(
    visited: int, same: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = VectorSettings("ivf-pq", n_lists=32)
    without = filled(settings)
    monkeypatch.setattr(stdsearch.vectors, "GROUPED_FROM", 32)
    monkeypatch.setattr(stdsearch.vectors, "GROUPS_VISITED", visited)  # of 11
    index = filled(settings)
    alike = np.mean(list_of_each(index) == list_of_each(without))
    assert same <= alike <= (1 if visited == 11 else 0.99)
    scores, expected = index.nearest(QUERIES, 10)[0], without.nearest(QUERIES, 10)[0]
    np.testing.assert_array_equal(scores, expected)  # every list is visited, and rounded cosines tie

    index.save(tmp_path / "index")
    loaded = FaissIndex.load(tmp_path / "index", DIM, writable=True)
    loaded.add(IDS + len(IDS), VECTORS)
    loaded.save(tmp_path / "grown")
    of_each = list_of_each(FaissIndex.load(tmp_path / "grown", DIM))
    np.testing.assert_array_equal(of_each[len(IDS) :], of_each[: len(IDS)])


def list_of_each(index: FaissIndex) -> np.ndarray:
    """The list of each vector, by id."""
    ids = list(index.ids())
    return np.repeat(np.arange(len(ids)), [len(own) for own in ids])[np.argsort(np.concatenate(ids))]


@pytest.mark.skipif(
    not (hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus()), reason="no GPU, or faiss-cpu"
)
@every_kind_of_lists
def test_an_index_made_with_a_gpu_finds_what_one_made_without_does(
    settings: VectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = filled(settings)
    monkeypatch.setattr(stdsearch.vectors, "_on_gpu", lambda index: None)
    without = filled(settings)
    exact = np.sort(QUERIES @ VECTORS.T)[:, :-11:-1]
    for made in (index, without):
        found = np.take_along_axis(QUERIES @ VECTORS.T, made.nearest(QUERIES, 100)[1], axis=1)
        assert (np.sort(found)[:, :-11:-1] >= exact - 1e-6).mean() > 0.99


def list_sizes(index: FaissIndex) -> list[int]:
    return [index._inverted.invlists.list_size(number) for number in range(index._inverted.nlist)]


def test_an_index_of_lists_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="ivf-sq8 needs a sample"):
        FaissIndex.empty(DIM, VectorSettings("ivf-sq8", n_lists=4))


def test_ivf_pq_keeps_the_axes_that_vectors_vary_along() -> None:
    """Of 32 dimensions 10 hold what there is, so that 16 axes are kept: 8 bytes and an id for each vector."""
    narrow = np.random.default_rng(0).normal(size=(5000, 10)).astype(np.float32)
    vectors = narrow @ np.linalg.qr(np.random.default_rng(1).normal(size=(32, 10)))[0].T.astype(np.float32)
    index = FaissIndex.empty(32, VectorSettings("ivf-pq", n_lists=32), vectors)
    index.add(IDS, vectors)
    _, ids = index.nearest(vectors[:5], 100)
    assert index._inverted.code_size == 8
    exact = np.sort(vectors[:5] @ vectors.T)[:, -10:]
    found = np.take_along_axis(vectors[:5] @ vectors.T, ids, axis=1)
    assert np.mean(np.sort(found)[:, -10:] == exact) > 0.9


@pytest.mark.parametrize("n", [0, 10, 5000])  # what fits in a buffer fails later than what does not
def test_a_full_disk_is_told(n: int) -> None:
    index = FaissIndex.empty(DIM, EXACT)
    index.add(IDS[:n], VECTORS[:n])
    with pytest.raises(OSError, match="No space left on device"):
        index.save(Path("/dev/full"))


@every_kind_of_lists
def test_lists_are_read_from_the_disk_when_they_are_visited(settings: VectorSettings, tmp_path: Path) -> None:
    index = filled(settings)
    index.save(tmp_path / "index")
    loaded = FaissIndex.load(tmp_path / "index", DIM)
    mapped: Any = faiss.downcast_InvertedLists(loaded._inverted.invlists)
    assert type(mapped) is faiss.OnDiskInvertedLists
    assert mapped.read_only
    assert {int(mapped.get_ids(number)) % 64 for number in range(settings.n_lists)} == {0}
    index.save(tmp_path / "again")  # which took its lists for a moment
    assert (tmp_path / "again").read_bytes() == (tmp_path / "index").read_bytes()


@every_kind_of_lists
def test_an_index_outlives_its_file(settings: VectorSettings, tmp_path: Path) -> None:
    """As when a writer removes it: a reader has it mapped."""
    index = filled(settings)
    index.save(tmp_path / "index")
    loaded = FaissIndex.load(tmp_path / "index", DIM)
    (tmp_path / "index").unlink()
    np.testing.assert_array_equal(loaded.nearest(QUERIES, 10)[0], index.nearest(QUERIES, 10)[0])


def test_an_index_whose_vectors_are_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    """Which would read beyond the end of each query."""
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(1 << 12))
    index.d = DIM
    faiss.write_index(index, str(tmp_path / "index"))
    with pytest.raises(StdSearchError, match="is no vector index of an archive"):
        FaissIndex.load(tmp_path / "index", DIM)


def test_an_index_without_centres_is_refused(tmp_path: Path) -> None:
    index = filled(EVERY_KIND[1])
    index._inverted.quantizer.reset()
    index.save(tmp_path / "index")
    with pytest.raises(StdSearchError, match="is no vector index of an archive"):
        FaissIndex.load(tmp_path / "index", DIM)


@every_kind_of_lists
def test_lists_that_the_file_does_not_hold_are_refused(settings: VectorSettings, tmp_path: Path) -> None:
    path = tmp_path / "index"
    filled(settings).save(path)
    content = path.read_bytes()
    n_bytes, table = len(content), len(content) - 16 - 8 * settings.n_lists

    def sizes(values: list[int]) -> bytes:
        return content[:table] + np.array(values, np.int64).tobytes() + content[-16:]

    held = np.frombuffer(content[table:-16], np.int64).tolist()
    assert sizes(held) == content
    assert sum(held) == len(IDS)
    for spoilt in (
        content[:-1],
        content[:table],
        content + bytes(8),
        content[:-16] + (n_bytes + 1).to_bytes(8, "little") + content[-8:],
        content[:-16] + (-8).to_bytes(8, "little", signed=True) + content[-8:],
        content[:-16] + bytes(8) + content[-8:],
        content[: table - 64] + content[table:],
        sizes([held[0] + 1, *held[1:]]),
        sizes([held[0] - 1, *held[1:]]),
        sizes([held[0] + 40, held[1] - 40, *held[2:-1], -held[-1]]),
        sizes([2**62] * len(held)),
        sizes([2**62, -(2**62) + held[0], *held[1:]]),
    ):
        path.write_bytes(spoilt)
        for writable in (False, True):
            with pytest.raises(StdSearchError, match=r"index: has (no )?lists|no vector index"):
                FaissIndex.load(path, DIM, writable=writable)


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    FaissIndex.empty(DIM, EXACT).save(tmp_path / "vectors.ivf")
    _, ids = FaissIndex.load(tmp_path / "vectors.ivf", DIM).nearest(QUERIES, 2)
    assert (ids == -1).all()


def test_a_file_of_another_kind_or_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.ivf"
    path.write_bytes(b"no index at all")
    with pytest.raises(StdSearchError, match=r"vectors\.ivf: no vector index"):
        FaissIndex.load(path, DIM)
    filled(EXACT).save(path)
    with pytest.raises(StdSearchError, match="16 dimensions, not 17"):
        FaissIndex.load(path, DIM + 1)
