from pathlib import Path

import faiss
import numpy as np
import pytest

from stdsearch.errors import StdSearchError
from stdsearch.vectors import FaissIndex, VectorSettings

RNG = np.random.default_rng(0)
DIM = 16
VECTORS = RNG.normal(size=(5000, DIM)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
IDS = np.arange(len(VECTORS))
QUERIES = VECTORS[:20] + 0.1 * RNG.normal(size=(20, DIM)).astype(np.float32)
EXACT = VectorSettings()
ALL_LISTS = VectorSettings(n_lists=32, n_probe=32)  # visits everything, so that only the 8 bits differ from EXACT


def filled(settings: VectorSettings) -> FaissIndex:
    index = FaissIndex.empty(DIM, settings)
    index.train(VECTORS[::2])
    index.add(IDS, VECTORS)
    return index


def by_hand(k: int, allowed: np.ndarray) -> np.ndarray:
    scores = np.where(allowed, QUERIES @ VECTORS.T, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_exact_index_ranks_as_a_matrix_product() -> None:
    scores, ids = filled(EXACT).nearest(QUERIES, 10)
    np.testing.assert_array_equal(ids, by_hand(10, np.ones(len(VECTORS), bool)))
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ VECTORS.T, ids, axis=1), atol=1e-5)


def test_inverted_lists_find_the_same_but_for_rounding() -> None:
    scores, ids = filled(ALL_LISTS).nearest(QUERIES, 10)
    expected = by_hand(10, np.ones(len(VECTORS), bool))
    assert np.mean([len(set(a) & set(b)) for a, b in zip(ids.tolist(), expected.tolist(), strict=True)]) > 9.5
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ VECTORS.T, ids, axis=1), atol=0.02)


@pytest.mark.parametrize("settings", [EXACT, ALL_LISTS])
def test_a_filter_gives_what_filtering_afterwards_gives(settings: VectorSettings) -> None:
    index = filled(settings)
    allowed = np.random.default_rng(1).random(len(VECTORS)) < 0.1
    scores, ids = index.nearest(QUERIES, 10, allowed=allowed)
    all_scores, all_ids = index.nearest(QUERIES, len(VECTORS))
    for row in range(len(QUERIES)):
        afterwards = allowed[all_ids[row]]
        np.testing.assert_array_equal(ids[row], all_ids[row][afterwards][:10])
        np.testing.assert_array_equal(scores[row], all_scores[row][afterwards][:10])


@pytest.mark.parametrize("settings", [EXACT, ALL_LISTS])
def test_missing_neighbours_have_no_id_and_no_score(settings: VectorSettings) -> None:
    scores, ids = filled(settings).nearest(QUERIES, 3, allowed=IDS == 7)
    np.testing.assert_array_equal(ids, [[7, -1, -1]] * len(QUERIES))
    assert np.isneginf(scores[:, 1:]).all()


@pytest.mark.parametrize("settings", [EXACT, ALL_LISTS])
def test_what_was_removed_is_not_found(settings: VectorSettings) -> None:
    index = filled(settings)
    _, before = index.nearest(QUERIES, 2)
    index.remove(np.append(before[:, 0], 999_999))
    assert len(index) == len(VECTORS) - len(np.unique(before[:, 0]))
    _, after = index.nearest(QUERIES, 50)
    assert not np.isin(after, before[:, 0]).any()


@pytest.mark.parametrize("settings", [EXACT, ALL_LISTS])
def test_survives_the_disk(settings: VectorSettings, tmp_path: Path) -> None:
    index = filled(settings)
    index.save(tmp_path / "vectors.ivf")
    loaded = FaissIndex.load(tmp_path / "vectors.ivf", DIM)
    for got, expected in zip(loaded.nearest(QUERIES, 10), index.nearest(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("settings", [EXACT, ALL_LISTS])
def test_a_saved_index_can_be_changed(settings: VectorSettings, tmp_path: Path) -> None:
    filled(settings).save(tmp_path / "index")
    index = FaissIndex.load(tmp_path / "index", DIM, writable=True)
    index.remove(IDS[:100])
    index.add(IDS[:1] + 9000, VECTORS[:1])
    assert sorted(index.ids()) == [*IDS[100:], 9000]
    assert index.nearest(VECTORS[:1], 1)[1].tolist() == [[9000]]


@pytest.mark.parametrize("n", [0, 10, 5000])  # what fits in a buffer fails later than what does not
def test_a_full_disk_is_told(n: int) -> None:
    index = FaissIndex.empty(DIM, EXACT)
    index.add(IDS[:n], VECTORS[:n])
    with pytest.raises(OSError, match="No space left on device"):
        index.save(Path("/dev/full"))


def test_an_index_is_written_as_faiss_writes_it(tmp_path: Path) -> None:
    index = filled(ALL_LISTS)
    index.save(tmp_path / "index")
    faiss.write_index(index._index, str(tmp_path / "other"))
    assert (tmp_path / "index").read_bytes() == (tmp_path / "other").read_bytes()


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
