"""The shape of a span encoder, known without torch."""

from dataclasses import dataclass, field

from stdsearch.mel_settings import MelSettings

STRIDE = 4  # mel frames (10 ms) from one network frame to the next: 40 ms
ROWS_PER_FRAME = 2  # of phone posteriors, and of log odds of edges: 20 ms each
VARIANCE_FLOOR = 1e-4  # of the frames of a pooled span
MAX_PHONES = 64  # places from either end of a pronunciation that are told apart


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """The shape of a span encoder; saved with its weights."""

    mel: MelSettings = field(default_factory=MelSettings)
    channels: int = 384
    dilations: tuple[int, ...] = (1, 1, 2, 2, 3, 3, 1)
    hidden: int = 192  # size of a frame vector, which is what an archive stores
    parts: int = 5  # of a span, see encoder.pooling
    dim: int = 128  # size of an embedding
    head: int = 512
    text_channels: int = 256
    text_blocks: int = 4
    dropout: float = 0.1

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame to the next."""
        return STRIDE * self.mel.hop

    @property
    def frame_width(self) -> int:
        """Columns of a frame: its vector and, last, the attention logit."""
        return self.hidden + 1
