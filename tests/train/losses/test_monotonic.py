import math

import pytest
import torch

from train.losses import MonotonicMatchingLoss


def monotonic_by_loops(affinity, phone_lengths, frame_lengths, width):
    total = 0.0
    for item, n_phones, n_frames in zip(affinity, phone_lengths.tolist(), frame_lengths.tolist(), strict=True):
        off = 0.0
        for n in range(n_phones):
            for t in range(n_frames):
                offset = (n + 0.5) / n_phones - (t + 0.5) / n_frames
                off += float(item[n, t]) * (1 - math.exp(-(offset**2) / (2 * width**2)))
        total += off / n_phones
    return total / len(affinity)


LENGTHS = [([3, 1, 4], [6, 7, 2]), ([4], [7]), ([1, 1], [1, 7])]


@pytest.mark.parametrize(("phones", "frames"), LENGTHS)
def test_equals_its_formula(unit, phones, frames):
    phones, frames = torch.tensor(phones), torch.tensor(frames)
    affinity = unit(len(phones), 4, 7).softmax(dim=2)
    for width in (0.2, 0.5):
        found = MonotonicMatchingLoss(width)(affinity, phones, frames).item()
        assert found == pytest.approx(monotonic_by_loops(affinity, phones, frames, width), abs=1e-6)


def test_gradient_is_of_valid_cells_only(unit):
    phones, frames = torch.tensor([3, 1, 4]), torch.tensor([6, 7, 2])
    affinity = unit(3, 4, 7).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: MonotonicMatchingLoss()(a, phones, frames), (affinity,))
    MonotonicMatchingLoss()(affinity, phones, frames).backward()
    assert affinity.grad[1, 1:].abs().max() == 0
    assert affinity.grad[2, :, 2:].abs().max() == 0


def test_diagonal_is_nothing_and_the_other_diagonal_much():
    eye, length = torch.eye(8), torch.tensor([8])
    assert MonotonicMatchingLoss()(eye[None], length, length).item() == 0
    assert MonotonicMatchingLoss()(eye.flip(0)[None], length, length).item() > 0.6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_cell_is_finite(dtype):
    one = torch.ones(1, 1, 1, dtype=dtype)
    assert MonotonicMatchingLoss()(one, torch.tensor([1]), torch.tensor([1])).item() == 0
