"""How log-mel is cut; known without torch, which computes it in `features`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MelSettings:
    """How the spectrogram is cut; windows and hops in seconds, frequencies in Hz."""

    n_mels: int = 80
    n_fft: int = 512
    window: float = 0.025
    hop: float = 0.010
    f_min: float = 20.0
    f_max: float = 7600.0
    norm: str | None = None  # "slaney" divides each triangle by its width, as JMCL does
