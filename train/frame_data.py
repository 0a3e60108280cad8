"""Frame vectors of all utterances of a split by a frozen encoder: what verifiers learn from, and archives store.

The encoder runs once over each utterance, and once over each augmented copy of it; the vectors are kept on disk, in
half precision.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from stdsearch.audio import read
from stdsearch.encoder import SpanEncoder
from stdsearch.encoder.span import STRIDE
from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONE_INDEX
from train.augment import Augment, AugmentSettings
from train.manifest import Utterance


class FrameData:
    """All utterances of a split that say something, with the times of their phones and words.

    Version 0 of an utterance's frames is clean, each of the `copies` is augmented by `train.augment`; since these keep
    its times, their speed and voice are as they were. hidden is a memory map of a file in `cache`, which is made once:
    an hour takes 35 MB a version.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        folder: Path,
        encoder: SpanEncoder,
        cache: Path,
        *,
        copies: int = 0,
        augment: AugmentSettings | None = None,
        noise: Sequence[Path] = (),
        progress: Callable[[Sequence[Utterance]], Iterable[Utterance]] = lambda items: items,
    ) -> None:
        self.utterances = [utterance for utterance in utterances if utterance.words]
        self.versions = 1 + copies
        self.width = encoder.settings.hidden
        self.frame_seconds = encoder.settings.frame_seconds
        # to sound like a telephone it would need to know where 3.4 kHz lie; the encoder has met enough of that
        settings = replace(augment or AugmentSettings(), band_limit=0.0)
        changed = (copies, settings, [path.name for path in noise]) if copies else ()
        where = [(u.utterance, str(u.audio), u.channel, u.tbeg, u.dur) for u in self.utterances]
        name = hashlib.sha256(repr((encoder.fingerprint, changed, where)).encode()).hexdigest()[:16]
        file, index = cache / f"frames-{name}.f16", cache / f"frames-{name}.npy"
        if not index.exists():
            log_mel = encoder.log_mel
            recorded = [log_mel(torch.from_numpy(read(path))) for path in noise] if copies else []
            n_mels, hop = encoder.settings.mel.n_mels, encoder.settings.mel.hop
            laid = torch.cat(recorded) if recorded else torch.empty(0, n_mels)

            def versions(number: int, utterance: Utterance) -> np.ndarray:
                waveform = read(
                    folder / utterance.audio, channel=utterance.channel, tbeg=utterance.tbeg, dur=utterance.dur
                )
                mel = log_mel(torch.from_numpy(waveform))
                change = Augment(settings, laid, hop=hop, band_limit_bin=n_mels, seed=number)
                return _encode(encoder, torch.stack([mel, *(change(mel[None])[0] for _ in range(copies))]))

            _write((versions(i, u) for i, u in enumerate(progress(self.utterances))), file, index)
        self.offset = np.load(index)
        shape = (int(self.offset[-1]) * self.versions, self.width)
        self.hidden = np.memmap(file, np.float16, "r", shape=shape) if shape[0] else np.empty(shape, np.float16)
        self.phones = [np.array([PHONE_INDEX[p.phone] for w in u.words for p in w.phones]) for u in self.utterances]
        self.times = [np.array([(p.tbeg, p.tend) for w in u.words for p in w.phones]) for u in self.utterances]
        # positions in the phone list where words begin, and the list's length
        self.borders = [np.cumsum([0, *(len(w.phones) for w in u.words)]) for u in self.utterances]

    @property
    def seconds(self) -> float:
        """Duration of all utterances."""
        return int(self.offset[-1]) * self.frame_seconds

    def frames(self, utterance: int, version: int = 0) -> np.ndarray:
        """Frame vectors (T, width) float16 of an utterance."""
        first, n = int(self.offset[utterance]), int(self.offset[utterance + 1] - self.offset[utterance])
        begin = first * self.versions + version * n
        return self.hidden[begin : begin + n]


@torch.inference_mode()
def _encode(encoder: SpanEncoder, mel: torch.Tensor) -> np.ndarray:
    """Frame vectors (B, T, width) float16 of log-mel (B, n, n_mels), each as `SpanEncoder.frames` makes them."""
    short = -mel.shape[1] % STRIDE
    hidden, _ = encoder.encode(F.pad(mel, (0, 0, 0, short)), torch.full((len(mel),), mel.shape[1]))
    return hidden.half().numpy()


def _write(utterances: Iterable[np.ndarray], file: Path, index: Path) -> None:
    """Write frames (versions, T, width) to `file` as they come and, last, where each utterance begins to `index`."""
    lengths = [0]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "wb") as out:
            for frames in utterances:
                lengths.append(frames.shape[1])
                out.write(frames.tobytes())
        partial = index.with_suffix(".partial")
        with open(partial, "wb") as out:
            np.save(out, np.cumsum(lengths))
        partial.replace(index)
    except OSError as error:
        raise StdSearchError(
            f"{file}: frames cannot be written ({error.strerror or error}); make room, or name another place"
        ) from None
