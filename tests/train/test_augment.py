import math

import pytest
import torch

from stdsearch.features import FLOOR, LOG_FLOOR
from train.augment import Augment, AugmentSettings

NOTHING = dict(
    speed=0, vocal_tract=0, gain=0, level=0, noise=0, reverb=0, band_limit=0, codec=0, time_masks=0, mel_masks=0
)  # fmt: skip


def augment(**changes):
    return Augment(
        AugmentSettings(**(NOTHING | changes)), torch.full((500, 20), -3.0), hop=0.01, band_limit_bin=12, seed=0
    )


@pytest.fixture
def mel():
    return torch.randn(4, 100, 20, generator=torch.Generator().manual_seed(0))


def test_nothing_changes_nothing(mel):
    torch.testing.assert_close(augment()(mel), mel, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(augment().resample(mel, torch.ones(4), 100), mel, atol=1e-4, rtol=1e-4)


def test_twice_the_speed_reads_every_other_frame(mel):
    fast = augment().resample(mel, torch.full((4,), 2.0), 60)
    torch.testing.assert_close(fast[:, :50], mel[:, ::2], atol=1e-4, rtol=1e-4)
    assert (fast[:, 51:] == LOG_FLOOR).all()


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_the_ratio_asked_for(mel, snr):
    noisy = augment(noise=1.0, noise_snr=(snr, snr))
    added = (noisy(mel).exp() - mel.exp()).mean(dim=(1, 2))
    ratio = 10 * torch.log10(mel.exp().mean(dim=(1, 2)) / added)
    torch.testing.assert_close(ratio, torch.full((4,), snr), atol=0.1, rtol=0)


def test_reverberation_rings_on_and_keeps_what_came_before():
    click = torch.full((1, 60, 20), LOG_FLOOR)
    click[:, 20] = 3.0
    wet = augment(reverb=1.0)(click)
    assert wet[:, :20].max() < 3 - 10  # what the transform's rounding leaves
    assert wet[0, 25, 0] > LOG_FLOOR + 3
    assert wet[0, 25, 0] > wet[0, 40, 0]


@pytest.mark.parametrize("level", [-10.0, 6.0])
def test_reverberation_is_as_loud_as_it_is_told(level):
    click = torch.full((4, 100, 20), LOG_FLOOR)
    click[:, 20] = 3.0
    ring = augment(reverb=1.0, reverb_level=(level, level), reverb_seconds=(0.3, 0.3))(click)[:, 21:].exp().sum(dim=1)
    first = 10 ** (-6 * 0.01 / 0.3)  # of each hop to the next; the direct sound stands in the place of the first
    expected = torch.full((4, 20), 3.0 + level / 10 * math.log(10) + math.log(first))
    torch.testing.assert_close(ring.log(), expected, atol=0.05, rtol=0)


def test_a_change_of_level_lasts_from_some_moment_on(mel):
    change = (augment(level=1.0)(mel) - mel)[:, :, 0]
    for row in change:
        (at,) = (row.diff().abs() > 1e-3).nonzero(as_tuple=True)
        assert len(at) == 1
        assert row[0].abs() < 1e-3 < row[-1].abs() < 4.7


def test_telephone_band(mel):
    narrow = augment(band_limit=1.0)(mel)
    assert (narrow[:, :, 12:] == LOG_FLOOR).all()
    torch.testing.assert_close(narrow[:, :, :12], mel[:, :, :12], atol=1e-4, rtol=1e-4)


def test_never_below_the_floor(mel):
    everything = Augment(AugmentSettings(codec=1.0), torch.zeros(500, 20), hop=0.01, band_limit_bin=12, seed=1)
    assert everything(mel - 20).min() >= LOG_FLOOR
    assert pytest.approx(FLOOR) == torch.tensor(LOG_FLOOR).exp().item()


def test_masks_hide_at_most_what_they_may(mel):
    hidden = (augment(time_masks=1, time_mask=0.1)(mel) - mel).abs() > 1e-3
    assert hidden.all(dim=2).sum(dim=1).max() <= 10
    hidden = (augment(mel_masks=1, mel_mask=4)(mel) - mel).abs() > 1e-3
    assert hidden.all(dim=1).sum(dim=1).max() <= 4


def test_the_seed_decides(mel):
    settings, noise = AugmentSettings(), torch.zeros(500, 20)
    make = lambda seed: Augment(settings, noise, hop=0.01, band_limit_bin=12, seed=seed)(mel)  # noqa: E731
    assert torch.equal(make(1), make(1))
    assert not torch.equal(make(1), make(2))
