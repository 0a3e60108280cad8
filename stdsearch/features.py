"""Log-mel features, and the one place that imports torchaudio.

torchaudio's wheels link against CUDA: beside a CPU torch, or one of another CUDA version, its import fails
although its transforms are plain Python. Then the compiled extension, which nothing here needs, is replaced by
a stub and the import repeated.
"""

import math
import sys
import types
from typing import Any

import torch
from torch import Tensor, nn

from stdsearch.audio import SAMPLE_RATE
from stdsearch.mel_settings import MelSettings

FLOOR = 1e-6  # power; about 80 dB below the peaks of speech at full scale
LOG_FLOOR = math.log(FLOOR)  # what log-mel is where nothing sounds
SHORTEST_HOP = 0.001  # seconds: what bounds the number of frames
MEL_SCALE = 1 / 3  # brings log-mel, less its mean, to about unit variance


def _transforms() -> Any:
    try:
        import torchaudio.transforms
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        stub = types.ModuleType("torchaudio._extension")
        stub._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
        stub.fail_if_no_align = lambda function: function  # type: ignore[attr-defined]
        sys.modules["torchaudio._extension"] = stub
        import torchaudio.transforms
    return torchaudio.transforms


class LogMel(nn.Module):
    """Natural logarithm of the mel power spectrogram: (..., n) at 16 kHz -> (..., T, n_mels).

    Frame t is centred on sample t * hop, zeros beyond the ends; T = 1 + n // hop.
    """

    def __init__(self, settings: MelSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or MelSettings()
        s = self.settings
        if not 0 < s.hop <= s.window <= s.n_fft / SAMPLE_RATE or s.hop < SHORTEST_HOP:
            raise ValueError(f"a hop of {s.hop} s, a window of {s.window} s and an n_fft of {s.n_fft} do not fit")
        with torch.device("cpu"):  # what follows from the settings is there wherever the weights are
            self.mel = _transforms().MelSpectrogram(
                sample_rate=SAMPLE_RATE,
                n_fft=s.n_fft,
                win_length=round(s.window * SAMPLE_RATE),
                hop_length=round(s.hop * SAMPLE_RATE),
                f_min=s.f_min,
                f_max=s.f_max,
                n_mels=s.n_mels,
                norm=s.norm,
                mel_scale="slaney" if s.norm == "slaney" else "htk",
                pad_mode="constant",
            )

    def forward(self, waveform: Tensor) -> Tensor:
        """(..., n) samples -> (..., T, n_mels)."""
        power: Tensor = self.mel(waveform)
        return torch.log(power + FLOOR).transpose(-1, -2)
