"""Augmentation of log-mel batches: what other voices, rooms, microphones and codecs would have made of them.

Everything works on natural-log mel power (B, T, n_mels), so that a batch costs milliseconds: additive noise and
reverberation act on power, a change of speed or of vocal tract length resamples the time or the mel axis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stdsearch.audio import read
from stdsearch.features import FLOOR, LOG_FLOOR, LogMel, MelSettings

TELEPHONE = 3400.0  # Hz
REVERB_TAIL = 0.6  # seconds of a room's tail that are heard


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How often (share of the rows) and how strongly each change is made."""

    speed: float = 0.12  # tempo factor in 1 ± speed, every row
    vocal_tract: float = 0.10  # mel axis factor in 1 ± vocal_tract, every row
    gain: float = 2.0  # ± nats of power, every row
    level: float = 0.25  # someone nearer or farther speaks from some moment on
    level_change: float = 4.6  # ± nats of power: 20 dB
    noise: float = 0.5
    noise_snr: tuple[float, float] = (0.0, 30.0)  # dB
    reverb: float = 0.4
    reverb_seconds: tuple[float, float] = (0.2, 1.2)  # T60
    reverb_level: tuple[float, float] = (-13.0, 9.0)  # dB of the tail beside the direct sound: near to far away
    band_limit: float = 0.15  # telephone: nothing above 3.4 kHz
    codec: float = 0.3  # low-rate codecs leave holes: bins far below the frame's peak are dropped
    time_masks: int = 2
    time_mask: float = 0.15  # seconds at most
    mel_masks: int = 2
    mel_mask: int = 10  # bins at most


class Augment:
    """Random changes of log-mel batches, drawn from a generator of its own."""

    def __init__(self, settings: AugmentSettings, noise: Tensor, *, hop: float, band_limit_bin: int, seed: int) -> None:
        self.settings = settings
        self.noise = noise  # (N, n_mels) log-mel of background recordings, laid end to end; may be empty
        self.hop = hop
        self.band_limit_bin = band_limit_bin
        self.random = torch.Generator().manual_seed(seed)

    def _uniform(self, n: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=self.random)

    def _chosen(self, n: int, share: float) -> Tensor:
        return torch.rand(n, generator=self.random) < share

    def draw_speeds(self, n: int) -> Tensor:
        """Tempo factors (n,), drawn apart because they also move the reference times."""
        return self._uniform(n, 1 - self.settings.speed, 1 + self.settings.speed)

    def resample(self, mel: Tensor, speeds: Tensor, n_frames: int) -> Tensor:
        """Rows played `speeds` times as fast and with other vocal tracts: (B, T, n_mels) -> (B, n_frames, n_mels).

        Output frame t reads input frame t * speed; beyond the input's end is silence.
        """
        b, length, n_mels = mel.shape
        warp = self._uniform(b, 1 - self.settings.vocal_tract, 1 + self.settings.vocal_tract)
        at_time = torch.arange(n_frames)[None, :] * speeds[:, None] / (length - 1) * 2 - 1
        at_mel = (torch.arange(n_mels)[None, :] * warp[:, None]).clamp_max(n_mels - 1) / (n_mels - 1) * 2 - 1
        grid = torch.stack(
            [at_mel[:, None, :].expand(b, n_frames, n_mels), at_time[:, :, None].expand(b, n_frames, n_mels)], dim=-1
        )
        shifted = (mel - LOG_FLOOR).unsqueeze(1)
        return F.grid_sample(shifted, grid, align_corners=True, padding_mode="zeros").squeeze(1) + LOG_FLOOR

    def __call__(self, mel: Tensor) -> Tensor:
        """Log-mel (B, T, n_mels) -> a changed copy of the same shape."""
        s, (b, length, n_mels) = self.settings, mel.shape
        power = mel.exp()

        change = self._uniform(b, -s.level_change, s.level_change) * self._chosen(b, s.level)
        later = torch.arange(length) >= self._uniform(b, 0, length)[:, None]
        power = power * (change[:, None] * later).exp()[:, :, None]

        chosen = self._chosen(b, s.reverb).nonzero().squeeze(1)
        if len(chosen):
            power[chosen] = self._reverberate(power[chosen])

        chosen = self._chosen(b, s.noise).nonzero().squeeze(1)
        if len(chosen) and len(self.noise) > length:
            start = torch.randint(len(self.noise) - length, (len(chosen),), generator=self.random)
            noise = self.noise[start[:, None] + torch.arange(length)].exp()
            snr = self._uniform(len(chosen), *s.noise_snr)
            ratio = power[chosen].mean(dim=(1, 2)) / noise.mean(dim=(1, 2)) / 10 ** (snr / 10)
            power[chosen] = power[chosen] + noise * ratio[:, None, None]

        mel = power.clamp_min(FLOOR).log() + self._uniform(b, -s.gain, s.gain)[:, None, None]

        holes = self._chosen(b, s.codec)[:, None, None]
        depth = self._uniform(b, 5.0, 9.0)[:, None, None]
        mel = torch.where(holes & (mel < mel.amax(dim=2, keepdim=True) - depth), LOG_FLOOR, mel)
        narrow = self._chosen(b, s.band_limit)[:, None, None] & (torch.arange(n_mels) >= self.band_limit_bin)
        mel = torch.where(narrow, LOG_FLOOR, mel).clamp_min(LOG_FLOOR)

        floor = mel.mean(dim=(1, 2), keepdim=True)
        for _ in range(s.time_masks):
            mel = torch.where(self._band(b, length, round(s.time_mask / self.hop))[:, :, None], floor, mel)
        for _ in range(s.mel_masks):
            mel = torch.where(self._band(b, n_mels, s.mel_mask)[:, None, :], floor, mel)
        return mel

    def _band(self, b: int, size: int, widest: int) -> Tensor:
        width = torch.randint(0, widest + 1, (b, 1), generator=self.random)
        start = (torch.rand(b, 1, generator=self.random) * (size - width)).long()
        place = torch.arange(size)
        return (place >= start) & (place < start + width)

    def _reverberate(self, power: Tensor) -> Tensor:
        """Power (b, T, n_mels) convolved in time with an exponentially decaying tail, direct sound kept."""
        t60 = self._uniform(len(power), *self.settings.reverb_seconds)
        wet = 10 ** (self._uniform(len(power), *self.settings.reverb_level) / 10)
        n_taps = round(REVERB_TAIL / self.hop)
        tail = 10 ** (-6 * torch.arange(n_taps)[None, :] * self.hop / t60[:, None])
        tail = wet[:, None] * tail / tail.sum(dim=1, keepdim=True)
        tail[:, 0] = 1.0
        n = power.shape[1] + n_taps
        wet_power = torch.fft.irfft(
            torch.fft.rfft(power, n=n, dim=1) * torch.fft.rfft(tail, n=n, dim=1).unsqueeze(-1), n=n, dim=1
        )
        return wet_power[:, : power.shape[1]].clamp_min(0)


def augmenter(settings: AugmentSettings, mel: MelSettings, noise: Sequence[Path]) -> Callable[[int], Augment]:
    """What makes the Augment of a seed, for log-mel of some settings and with these background recordings."""
    log_mel = LogMel(mel)
    recorded = [log_mel(torch.from_numpy(read(path))) for path in noise]
    laid = torch.cat(recorded) if recorded else torch.empty(0, mel.n_mels)
    band_limit_bin = int((_mel_centres(mel) < TELEPHONE).sum())
    return lambda seed: Augment(settings, laid, hop=mel.hop, band_limit_bin=band_limit_bin, seed=seed)


def _mel_centres(mel: MelSettings) -> np.ndarray:
    """Where the bins (n_mels,) have their centres, in Hz, roughly: those of HTK's scale, Slaney's being much alike."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (mel.f_min, mel.f_max))
    centres: np.ndarray = 700 * (10 ** (np.linspace(low, high, mel.n_mels + 2)[1:-1] / 2595) - 1)
    return centres
