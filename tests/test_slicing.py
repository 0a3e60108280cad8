import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stdsearch.slicing import SlicingSettings, slice_stretch

FRAME = 0.04
SMALL = SlicingSettings(shortest=0.12, longest=0.4, n_lengths=3)
SPEECH = np.array([[0.0, 4.0]])


def by_hand(
    slicing: SlicingSettings, first: int, last: int, n_frames: int, speech: np.ndarray
) -> list[tuple[int, int]]:
    """Every slice of the grid, kept if one of the stretches of speech holds it."""
    return sorted(
        (begin, begin + length)
        for length, hop in slicing.grid(FRAME)
        for begin in range(0, n_frames - length + 1, hop)
        if first <= begin < last
        and (
            not slicing.speech_only
            or any(left <= begin * FRAME + 1e-9 and (begin + length) * FRAME <= right + 1e-9 for left, right in speech)
        )
    )


@settings(max_examples=200)
@given(
    # whole microseconds: finer differences are below what slicing rounds
    borders=st.lists(st.integers(0, 4_000_000).map(lambda microseconds: microseconds / 1e6), max_size=8, unique=True),
    first=st.integers(0, 40),
    length=st.integers(0, 60),
    n_frames=st.integers(0, 100),
    speech_only=st.booleans(),
)
def test_equals_the_grid_filtered_slice_by_slice(
    borders: list[float], first: int, length: int, n_frames: int, speech_only: bool
) -> None:
    speech = np.array(sorted(borders)[: len(borders) // 2 * 2]).reshape(-1, 2)
    slicing = SlicingSettings(shortest=0.12, longest=0.4, n_lengths=3, speech_only=speech_only)
    found = slice_stretch(slicing, FRAME, first, first + length, n_frames, speech)
    assert [tuple(row) for row in found.tolist()] == by_hand(slicing, first, first + length, n_frames, speech)


def test_stretches_side_by_side_give_what_the_whole_gives() -> None:
    whole = slice_stretch(SMALL, FRAME, 0, 100, 100, SPEECH)
    pieces = [slice_stretch(SMALL, FRAME, first, min(first + 17, 100), 100, SPEECH) for first in range(0, 100, 17)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_borders_of_speech_on_the_grid_are_on_it() -> None:
    speech = np.array([[0.28, 0.28 + 0.12]])
    assert slice_stretch(SMALL, FRAME, 0, 100, 100, speech).tolist() == [[7, 10]]


def test_silence_and_what_is_shorter_than_a_slice_give_none() -> None:
    assert slice_stretch(SMALL, FRAME, 0, 100, 100, np.empty((0, 2))).shape == (0, 2)
    assert slice_stretch(SMALL, FRAME, 0, 2, 2, SPEECH).shape == (0, 2)


def test_every_word_is_met_by_a_slice_of_about_its_place_and_length() -> None:
    found = slice_stretch(SlicingSettings(), FRAME, 0, 250, 250, np.array([[0.0, 10.0]])) * FRAME
    words = np.random.default_rng(0).uniform([0.5, 0.2], [8.0, 1.6], size=(200, 2)).cumsum(axis=1)
    inside = np.minimum(found[:, 1], words[:, None, 1]) - np.maximum(found[:, 0], words[:, None, 0])
    joint = np.maximum(found[:, 1], words[:, None, 1]) - np.minimum(found[:, 0], words[:, None, 0])
    assert (inside / joint).max(axis=1).min() > 0.7
