"""The recipe of the encoder that ships: CLAP + DWD + phones on jittered, in-context and isolated spans."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.audio import read
from stdsearch.encoder import EncoderSettings, SpanEncoder
from stdsearch.encoder.span import STRIDE
from stdsearch.features import LogMel
from stdsearch.metrics.discrimination import cross_modal, pair_scores, same_different
from train.augment import Augment, AugmentSettings
from train.data import Batch, Batches, Crops, DataSettings, Phones, SpeechData, pad_phones
from train.losses import CLAPLoss, DWDLoss
from train.manifest import Utterance

TELEPHONE = 3400.0  # Hz


@dataclass(frozen=True, slots=True)
class SpanSettings:
    """The recipe; weights are those of the terms of the loss."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    dwd_weight: float = 0.1
    phone_weight: float = 1.0
    label_smoothing: float = 0.05
    text_chunk: int = 256  # pronunciations embedded together, sorted by length to save padding
    corpus_weight: tuple[tuple[str, float], ...] = ()  # factor on how often a corpus is drawn; 1 if not named


class SpanModel(nn.Module):
    """The encoder and the losses that have parameters."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.encoder = SpanEncoder(settings)
        self.clap = CLAPLoss()
        self.dwd = DWDLoss()


class SpanRecipe:
    """See train.loop.Recipe."""

    name = "span"

    def __init__(
        self,
        utterances: Sequence[Utterance],
        folder: Path,
        settings: SpanSettings,
        *,
        dictionary: Sequence[Phones],
        noise: Sequence[Path],
        cache: Path,
        seed: int,
        progress: Callable[[Sequence[Utterance]], Iterable[Utterance]] = lambda items: items,
    ) -> None:
        torch.manual_seed(seed)
        self.spans = settings
        self.model = SpanModel(settings.encoder)
        mel = settings.encoder.mel
        split = {name: [u for u in utterances if u.split == name] for name in ("train", "dev")}
        self.train = SpeechData(split["train"], folder, mel, cache, progress)
        self.dev = SpeechData(split["dev"], folder, mel, cache, progress)
        self.model.encoder.log_prior.copy_(torch.from_numpy(self.train.log_prior()))
        log_mel = LogMel(mel)
        recorded = [log_mel(torch.from_numpy(read(path))) for path in noise]
        laid = torch.cat(recorded) if recorded else torch.empty(0, mel.n_mels)
        centres = _mel_centres(mel.f_min, mel.f_max, mel.n_mels)
        band_limit_bin = int((centres < TELEPHONE).sum())

        factor = dict(settings.corpus_weight)
        weights = np.array(
            [self.train.n_frames(i) * factor.get(u.corpus, 1.0) for i, u in enumerate(self.train.utterances)]
        )
        self.batch: Callable[[int], Batch] = Batches(
            self.train,
            settings.data,
            lambda s: Augment(settings.augment, laid, hop=mel.hop, band_limit_bin=band_limit_bin, seed=s),
            dictionary,
            weights,
            seed,
        )

    def settings(self) -> dict[str, Any]:
        """Everything that must be equal for a checkpoint to go on."""
        return {"settings": asdict(self.spans), "train_seconds": round(self.train.seconds, 2)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """CLAP + dwd_weight · DWD + phone_weight · cross-entropy of the phones."""
        s, encoder = self.spans, self.model.encoder
        n = batch.n_crop_spans
        in_crops, phones, correct = self._encode(batch.crops, batch.row[:n], batch.begin[:n], batch.end[:n])
        alone, phones_alone, _ = self._encode(
            batch.isolated, batch.row[n:] - len(batch.crops.mel), batch.begin[n:], batch.end[n:]
        )
        spans = torch.cat([in_crops, alone])
        texts = self._embed(encoder, batch.texts)
        clap = self.model.clap(spans, texts, batch.target, batch.ignored)
        dwd = self.model.dwd(spans, batch.target)
        phone = phones + 0.2 * phones_alone
        total = clap + s.dwd_weight * dwd + s.phone_weight * phone
        figures = {"clap": clap.item(), "dwd": dwd.item(), "phone": phone.item(), "phone_acc": correct}
        return total, figures

    def _encode(self, crops: Crops, row: Tensor, begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor, float]:
        """Span embeddings, cross-entropy of the phones, and the share of 20 ms stretches with the right one."""
        encoder = self.model.encoder
        hidden, logit = encoder.encode(crops.mel, crops.lengths)
        spans = encoder.pool(hidden, logit, row, begin, end)
        logits = encoder.phone_logits(hidden).float()
        valid = torch.arange(logits.shape[1]) * (STRIDE // 2) < crops.lengths[:, None]
        logits, wanted = logits[valid], crops.phones[:, : logits.shape[1]][valid]
        loss = F.cross_entropy(logits, wanted, label_smoothing=self.spans.label_smoothing)
        return spans, loss, (logits.argmax(dim=-1) == wanted).float().mean().item()

    def _embed(self, encoder: SpanEncoder, texts: Sequence[Phones]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        chunks = [order[i : i + self.spans.text_chunk] for i in range(0, len(order), self.spans.text_chunk)]
        embedded = torch.cat([encoder.text(*pad_phones([texts[i] for i in chunk])) for chunk in chunks])
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return embedded[back]

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Phone accuracy on dev and, if any recur, both APs of words of five letters and half a second."""
        assert isinstance(model, SpanModel)
        encoder, data = model.encoder, self.dev
        correct = total = 0
        vectors, words, phones = [], [], []
        for i, utterance in enumerate(data.utterances):
            mel = data.mel[data.offset[i] : data.offset[i + 1]].float()[None]
            mel = F.pad(mel, (0, 0, 0, -mel.shape[1] % STRIDE))
            hidden, logit = encoder.encode(mel, torch.tensor([data.n_frames(i)]))
            best = encoder.phone_logits(hidden)[0].argmax(dim=-1).numpy()
            middles = (np.arange(len(best)) * 2 + 0.5) * data.hop
            at = (np.searchsorted(data.times[i][:, 0], middles, side="right") - 1).clip(0)
            inside = (middles >= data.times[i][at, 0]) & (middles < data.times[i][at, 1])
            correct += int((best == np.where(inside, data.phones[i][at], 0)).sum())
            total += len(best)
            chosen = [w for w in utterance.words if len(w.text) >= 5 and w.tend - w.tbeg >= 0.5]
            if chosen:
                frame = STRIDE * data.hop
                begin = torch.tensor([w.tbeg / frame for w in chosen])
                end = torch.tensor([w.tend / frame for w in chosen]).clamp_max(hidden.shape[1])
                vectors.append(encoder.pool(hidden, logit, torch.zeros(len(chosen), dtype=torch.long), begin, end))
                words += [w.text for w in chosen]
                phones += [tuple(p.phone for p in w.phones) for w in chosen]
        accuracy = {"phone_acc": correct / total}
        if len(set(words)) == len(words):
            return accuracy
        spans, word = torch.cat(vectors).numpy(), np.array(words)
        types = np.unique(word)
        texts = self._embed(encoder, [phones[words.index(t)] for t in types]).numpy()
        return accuracy | {
            "acoustic_ap": same_different(pair_scores(spans), word).all.average_precision,
            "crossmodal_ap": cross_modal(texts, types, spans, word).average_precision,
        }


def _mel_centres(f_min: float, f_max: float, n_mels: int) -> Tensor:
    """Centre frequencies in Hz of HTK mel bins."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (f_min, f_max))
    return torch.tensor(700 * (10 ** (np.linspace(low, high, n_mels + 2)[1:-1] / 2595) - 1))
