import pytest
import torch

from train.losses import TripletLoss


def triplet_by_loops(audio, text, word, margin):
    total = 0.0
    for i in range(len(word)):
        hinges = [
            max(0.0, margin - float(audio[i] @ text[i]) + float(audio[i] @ text[k]))
            for k in range(len(word))
            if word[k] != word[i]
        ]
        total += sum(hinges) / len(hinges) if hinges else 0.0
    return total / len(word)


@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_equals_its_formula(batch, margin):
    assert TripletLoss(margin)(*batch).item() == pytest.approx(triplet_by_loops(*batch, margin), abs=1e-6)


def test_gradient(smooth_batch):
    audio, text, word = smooth_batch
    assert torch.autograd.gradcheck(lambda a, t: TripletLoss()(a, t, word), (audio, text))
