import pytest

from stdsearch.vector_settings import EXACT_BELOW, KINDS, MOST_LISTS, TRAINED_FROM, VectorChoice, VectorSettings


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, VectorSettings("exact")),
        (EXACT_BELOW - 1, VectorSettings("exact")),
        (EXACT_BELOW, VectorSettings("ivf-pq", 256)),
        (4_000_000, VectorSettings("ivf-pq", 2048)),
        (337_000_000, VectorSettings("ivf-pq", MOST_LISTS)),
    ],
)
def test_the_kind_goes_by_the_number_of_vectors(n: int, expected: VectorSettings) -> None:
    assert VectorSettings.for_size(n) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_chosen_kind_holds_where_there_is_enough_to_learn_from(kind: str) -> None:
    assert VectorSettings.for_size(TRAINED_FROM, kind).kind == kind
    assert VectorSettings.for_size(TRAINED_FROM - 1, kind) == VectorSettings("exact")


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(ValueError, match="'hnsw' is no kind of index; it is one of auto, exact"):
        VectorChoice("hnsw")
    with pytest.raises(ValueError, match="recall of 0 is not above 0"):
        VectorChoice(recall=0)
