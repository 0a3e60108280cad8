import numpy as np
import torch

from stdsearch.encoder import BiLSTMEncoder
from stdsearch.encoder.bilstm import positions


def test_it_has_the_size_of_the_paper() -> None:
    """3 layers of 4 gates, 256 units, input and state weights and two biases in each direction; FC to 512."""
    encoder = BiLSTMEncoder()
    lstm = 2 * sum(4 * 256 * (size + 1 + 256 + 2) for size in (128, 512, 512))  # and the column that marks padding
    acoustic = sum(p.numel() for part in (encoder.sound, encoder.sound_out) for p in part.parameters())
    assert acoustic == lstm + 512 * 512 + 512
    frames, embedding = encoder.audio(torch.randn(1, 20, 128), torch.tensor([20]))
    assert frames.shape == (1, 20, 512)
    assert embedding.shape == (1, 512)


def test_positions_are_those_of_the_formula() -> None:
    found = positions(30, torch.empty(8)).numpy()
    wanted = np.empty((30, 8))
    for place in range(30):
        for i in range(4):
            wanted[place, 2 * i] = np.sin(place / 10000 ** (2 * i / 8))
            wanted[place, 2 * i + 1] = np.cos(place / 10000 ** (2 * i / 8))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_place_of_a_phone_is_heard() -> None:
    torch.manual_seed(0)
    encoder = BiLSTMEncoder().eval()
    ones = torch.ones(1, 3, dtype=torch.long)
    vectors, _ = encoder.text(ones, torch.tensor([3]))
    encoder.phone.weight.data.zero_()
    silent, _ = encoder.text(ones, torch.tensor([3]))
    assert vectors[0].std(dim=0).max() > 1e-3
    assert silent[0].std(dim=0).max() > 1e-3
