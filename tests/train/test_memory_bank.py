import pytest
import torch
from torch.nn import functional as F

from train.memory_bank import filled, updated, well_matched


def test_the_bank_moves_by_equation_3() -> None:
    bank = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 0.0]], dtype=torch.float64)
    audio = F.normalize(torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.0, -1.0]], dtype=torch.float64), dim=1)
    phone = torch.tensor([1, 1, 3])
    before = bank.clone()
    moved = updated(bank, audio, phone)
    assert torch.equal(bank, before)
    new = (audio[0] + audio[1]) / 2
    new = new / new.norm()
    assert moved[1].tolist() == pytest.approx((0.8 * before[1] + 0.2 * new).tolist())
    assert moved[2].tolist() == [0.5, 0.5]  # not heard
    assert moved[3].tolist() == [0.0, -1.0]  # heard for the first time
    assert filled(moved).tolist() == [False, True, True, True]
    assert updated(bank, audio, phone, momentum=0.0)[1].tolist() == pytest.approx(new.tolist())


def test_nothing_heard_leaves_the_bank_as_it_is() -> None:
    bank = torch.randn(4, 2)
    assert torch.equal(updated(bank, torch.empty(0, 2), torch.empty(0, dtype=torch.long)), bank)


def test_a_phone_is_well_matched_if_a_text_of_its_own_kind_is_nearest() -> None:
    text = torch.eye(3)
    audio = F.normalize(torch.tensor([[0.0, 1.0, 0.1], [0.0, 0.2, 1.0], [1.0, 0.0, 0.2]]), dim=1)
    # the first lies nearest to the second text, which is of the same phone; the third to the first, which is not
    assert well_matched(audio, text, torch.tensor([5, 5, 7])).tolist() == [True, False, False]
