"""The recipe of the encoder that ships: CLAP + DWD + phones + word edges on jittered, in-context and isolated spans."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.encoder import Encoder, EncoderSettings, SpanEncoder, pad_phones
from stdsearch.encoder.span import STRIDE
from train.augment import AugmentSettings, augmenter
from train.data import Batch, Batches, Crops, DataSettings
from train.figures import discrimination
from train.loop import LoopSettings
from train.losses import CLAPLoss, DWDLoss
from train.recipe import Inputs, Recipe
from train.recipes import Plan
from train.speech import Phones, SpeechData


@dataclass(frozen=True, slots=True)
class SpanSettings:
    """The recipe; weights are those of the terms of the loss."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    dwd_weight: float = 0.1
    phone_weight: float = 1.0
    edge_weight: float = 0.5
    label_smoothing: float = 0.05
    text_chunk: int = 256  # pronunciations embedded together, sorted by length to save padding


class SpanModel(nn.Module):
    """The encoder and the losses that have parameters."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.encoder = SpanEncoder(settings)
        self.clap = CLAPLoss()
        self.dwd = DWDLoss()


class SpanRecipe(Recipe):
    """See train.recipe.Recipe."""

    name = "span"
    criterion = "acoustic_ap"
    model: SpanModel

    def __init__(self, settings: SpanSettings, inputs: Inputs) -> None:
        torch.manual_seed(inputs.seed)
        self.spans = settings
        self.model = SpanModel(settings.encoder)
        self.corpus_weight = inputs.corpus_weight
        mel = settings.encoder.mel
        self.train, self.dev = (
            SpeechData(inputs.of_split(split), inputs.folder, mel, inputs.cache, inputs.progress)
            for split in ("train", "dev")
        )
        self.model.encoder.log_prior.copy_(torch.from_numpy(self.train.log_prior()))
        factor = dict(inputs.corpus_weight)
        weights = np.array(
            [self.train.n_frames(i) * factor.get(u.corpus, 1.0) for i, u in enumerate(self.train.utterances)]
        )
        crop_frames = settings.data.crops * settings.data.crop_seconds / mel.hop
        self.steps_per_epoch = max(1, round(self.train.seconds / mel.hop / crop_frames))
        augment = augmenter(settings.augment, mel, inputs.noise)
        self._batches = Batches(self.train, settings.data, augment, inputs.dictionary, weights, inputs.seed)

    def start_from(self, encoder: Encoder) -> None:
        """See train.recipe.Recipe; how often each phone is said stays that of the training data."""
        super().start_from(encoder)
        self.model.encoder.log_prior.copy_(torch.from_numpy(self.train.log_prior()))

    def settings(self) -> dict[str, Any]:
        """Everything that must be equal for a checkpoint to go on."""
        return {
            "kind": self.model.encoder.kind,
            "settings": asdict(self.spans),
            "corpus_weight": self.corpus_weight,
            "train_seconds": round(self.train.seconds, 2),
        }

    def batch(self, step: int) -> Batch:
        """See train.data."""
        return self._batches(step)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """CLAP + dwd_weight · DWD + phone_weight · cross-entropy of the phones + edge_weight · that of edges."""
        s, encoder = self.spans, self.model.encoder
        n = batch.n_crop_spans
        in_crops, phones, edges, correct = self._encode(batch.crops, batch.row[:n], batch.begin[:n], batch.end[:n])
        alone, phones_alone, edges_alone, _ = self._encode(
            batch.isolated, batch.row[n:] - len(batch.crops.mel), batch.begin[n:], batch.end[n:]
        )
        spans = torch.cat([in_crops, alone])
        texts = self._embed(encoder, batch.texts)
        clap = self.model.clap(spans, texts, batch.target, batch.ignored)
        dwd = self.model.dwd(spans, batch.target)
        phone, edge = phones + 0.2 * phones_alone, edges + 0.2 * edges_alone
        total = clap + s.dwd_weight * dwd + s.phone_weight * phone + s.edge_weight * edge
        figures = {"clap": clap.item(), "dwd": dwd.item(), "phone": phone.item(), "edge": edge.item()}
        figures["phone_acc"] = correct
        figures["frames"] = int(batch.crops.lengths.sum() + batch.isolated.lengths.sum())
        return total, figures

    def _encode(self, crops: Crops, row: Tensor, begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        """Span embeddings, cross-entropies of phones and of edges, and the share of 20 ms with the right phone."""
        encoder = self.model.encoder
        hidden, logit = encoder.encode(crops.mel, crops.lengths)
        spans = encoder.pool(hidden, logit, row, begin, end)
        logits = encoder.phone_logits(hidden).float()
        middles = torch.arange(logits.shape[1], device=logits.device) * (STRIDE // 2)
        valid = middles < crops.lengths[:, None]
        logits, wanted = logits[valid], crops.phones[:, : logits.shape[1]][valid]
        phones = F.cross_entropy(logits, wanted, label_smoothing=self.spans.label_smoothing)
        edges = F.binary_cross_entropy_with_logits(
            encoder.edge_logits(hidden).float()[valid], crops.edges[:, : valid.shape[1]][valid]
        )
        return spans, phones, edges, (logits.argmax(dim=-1) == wanted).float().mean().item()

    def _embed(self, encoder: SpanEncoder, texts: Sequence[Phones]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        chunks = [order[i : i + self.spans.text_chunk] for i in range(0, len(order), self.spans.text_chunk)]
        padded = (map(torch.from_numpy, pad_phones([texts[i] for i in chunk])) for chunk in chunks)
        device = encoder.log_prior.device
        embedded = torch.cat([encoder.text(phones.to(device), lengths.to(device)) for phones, lengths in padded])
        return embedded[torch.tensor(order, device=device).argsort()]

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy of phones and edges on dev; if any recur, both APs of words of five letters and half a second."""
        assert isinstance(model, SpanModel)
        encoder, data = model.encoder, self.dev
        device = encoder.log_prior.device
        correct = edges = total = 0
        vectors, words, phones = [], [], []
        for i, utterance in enumerate(data.utterances):
            mel = data.mel[data.offset[i] : data.offset[i + 1]].float()[None].to(device)
            mel = F.pad(mel, (0, 0, 0, -mel.shape[1] % STRIDE))
            hidden, logit = encoder.encode(mel, torch.tensor([data.n_frames(i)], device=device))
            best = encoder.phone_logits(hidden)[0].argmax(dim=-1).cpu().numpy()
            middles = (np.arange(len(best)) * 2 + 0.5) * data.hop
            at = (np.searchsorted(data.times[i][:, 0], middles, side="right") - 1).clip(0)
            inside = (middles >= data.times[i][at, 0]) & (middles < data.times[i][at, 1])
            correct += int((best == np.where(inside, data.phones[i][at], 0)).sum())
            at_edge = encoder.edge_logits(hidden)[0].cpu().numpy() > 0
            edges += int((at_edge == data.at_edge(i, middles)).sum())
            total += len(best)
            chosen = [w for w in utterance.words if len(w.text) >= 5 and w.tend - w.tbeg >= 0.5]
            if chosen:
                frame = STRIDE * data.hop
                begin = torch.tensor([w.tbeg / frame for w in chosen], device=device)
                end = torch.tensor([w.tend / frame for w in chosen], device=device).clamp_max(hidden.shape[1])
                vectors.append(encoder.pool(hidden, logit, torch.zeros_like(begin, dtype=torch.long), begin, end))
                words += [w.text for w in chosen]
                phones += [tuple(p.phone for p in w.phones) for w in chosen]
        accuracy = {"phone_acc": correct / total, "edge_acc": edges / total}
        if not words:
            return accuracy
        types = sorted(set(words))
        texts = self._embed(encoder, [phones[words.index(word)] for word in types])
        return accuracy | discrimination(torch.cat(vectors), words, texts, types)


PLAN = Plan(
    make=SpanRecipe,
    variants={"full": SpanSettings()},
    loop=LoopSettings(),
    takes=frozenset({"corpus_weight", "start_from"}),
)
