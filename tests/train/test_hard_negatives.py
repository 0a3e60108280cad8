import numpy as np
import pytest

from train.confusable import distance
from train.hard_negatives import INSERTED_STEPS, N_SYMBOLS, Edit, draw_edits, edited_phones, edited_steps

SPANS = np.array([[2, 5], [5, 6], [8, 10]])  # of three phones in twelve steps, a silence between the last two
KEPT = np.arange(12) + N_SYMBOLS


@pytest.mark.parametrize(
    ("edit", "phones", "steps"),
    [
        (Edit("replace", 0, 9), [9, 7, 7], [*KEPT[:2], 9, 9, 9, *KEPT[5:]]),
        (Edit("delete", 1), [4, 7], [*KEPT[:5], *KEPT[6:]]),
        (Edit("insert", 2, 9, 4), [4, 7, 9, 7], [*KEPT[:8], 9, 9, 9, 9, *KEPT[8:]]),
        (Edit("insert", 0, 9, 1), [9, 4, 7, 7], [*KEPT[:2], 9, *KEPT[2:]]),
    ],
)
def test_an_edit_does_what_it_says(edit: Edit, phones: list[int], steps: list[int]) -> None:
    assert edited_phones([4, 7, 7], [edit]) == phones
    assert edited_steps(SPANS, 12, [edit]).tolist() == steps


def test_edits_of_several_phones_do_not_disturb_each_other() -> None:
    edits = [Edit("delete", 0), Edit("insert", 1, 9, 3), Edit("replace", 2, 8)]
    assert edited_phones([4, 7, 7], edits) == [9, 7, 8]
    assert edited_steps(SPANS, 12, edits).tolist() == [*KEPT[:2], 9, 9, 9, *KEPT[5:8], 8, 8, *KEPT[10:]]
    assert edited_steps(SPANS, 12, []).tolist() == KEPT.tolist()


def test_drawn_edits_change_as_many_phones_as_they_say() -> None:
    random = np.random.default_rng(0)
    kinds = set()
    for _ in range(300):
        phones = random.integers(1, 5, random.integers(1, 6)).tolist()
        n = int(random.integers(1, 4))
        edits = draw_edits(phones, n, random)
        assert len(edits) == min(n, len(phones))
        assert [edit.place for edit in edits] == sorted({edit.place for edit in edits})
        changed = edited_phones(phones, edits)
        assert changed
        assert 1 <= distance(phones, changed) <= len(edits)
        for edit in edits:
            kinds.add(edit.kind)
            assert 0 <= edit.place < len(phones)
            assert edit.kind == "delete" or 1 <= edit.phone < N_SYMBOLS
            assert edit.kind != "replace" or edit.phone != phones[edit.place]
            assert edit.kind != "insert" or INSERTED_STEPS[0] <= edit.steps < INSERTED_STEPS[1]
    assert kinds == {"insert", "replace", "delete"}


def test_a_single_phone_is_never_deleted() -> None:
    random = np.random.default_rng(0)
    assert all(draw_edits([3], 1, random)[0].kind != "delete" for _ in range(50))
