import numpy as np

from stdsearch.phones import PHONES
from train.confusable import SEPARATOR, closest_runs, distance, nearest


def test_distance_of_words_worked_out_by_hand() -> None:
    assert distance("kitten", "sitting") == 3
    assert distance((), ("AH", "N")) == 2
    assert distance(("AH", "N"), ()) == 2
    assert distance(("S", "T", "AA", "R"), ("S", "T", "AA", "R")) == 0
    assert distance(("T", "AA"), ("S", "T", "AA")) == 1


def test_the_nearest_are_those_of_all_pairs_sorted() -> None:
    random = np.random.default_rng(0)
    few = PHONES[:5]
    words = [tuple(random.choice(few, random.integers(1, 8))) for _ in range(150)]
    index, found = nearest(words, 7)
    for i, word in enumerate(words):
        others = sorted((distance(word, other), j) for j, other in enumerate(words) if j != i)[:7]
        assert list(zip(found[i].tolist(), index[i].tolist(), strict=True)) == others


def test_a_small_vocabulary_has_fewer_than_asked_for() -> None:
    index, found = nearest([("S", "T"), ("T",)], 3)
    assert index.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert found[:, 0].tolist() == [1, 1]


def test_the_closest_runs_are_those_of_all_runs_tried() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 60)
    labels[[20, 21, 45]] = SEPARATOR
    for length in (1, 3, 6):
        wanted = random.integers(0, 4, length)
        first, found = closest_runs(wanted, labels)
        for end in range(len(labels)):
            barred = np.flatnonzero(labels[: end + 1] == SEPARATOR)
            begins = range(barred[-1] + 1 if len(barred) else 0, end + 2)
            runs = [(distance(wanted, labels[begin : end + 1]), -begin) for begin in begins]
            assert (int(found[end]), -int(first[end])) == min(runs), end
