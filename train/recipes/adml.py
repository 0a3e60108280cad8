"""ADML: adversarial deep metric learning on cut words (Jung et al.: arXiv 2505.16735).

    L = L_utt + L_key + L_MM + 0.1 · L_phn  (Eq. 3),  and against it 0.1 · (L_adv^phn + L_adv^utt)  (Eq. 4 and 5)

L_utt is the Relational Proxy loss between utterance embeddings, L_phn the Asymmetric-Proxy loss between phones and the
sounds that cross-attention (Eq. 1) aligns with them, L_MM keeps that alignment monotonic, L_key classifies keywords,
L_adv asks a classifier behind a gradient reversal which of sound and text it sees. The variants are the rows of the
paper's Tables 1 to 3.

Where it differs: AdaMS' parameters have ten times the learning rate of the rest, which a short training needs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.encoder.ecapa import ECAPAEncoder, ECAPASettings
from stdsearch.phones import SYMBOLS
from train.augment import AugmentSettings
from train.cross_attention import CrossAttention
from train.loop import LoopSettings
from train.losses import (
    AAMSoftmaxLoss,
    AdaMSLoss,
    AsyPLoss,
    ModalityAdversarialLoss,
    MonotonicMatchingLoss,
    PhonemeInfoNCELoss,
    ProxyBDLoss,
    ProxyMSLoss,
    RelationalProxyLoss,
    SphereFace2Loss,
    TripletLoss,
)
from train.recipe import Inputs
from train.recipes import Plan
from train.recipes.words import WORD_AUGMENT, WordRecipe
from train.words import WordBatch, WordSettings

PhonemeLoss = Literal["none", "proxy-bd", "proxy-ms", "clat", "asyp", "adams"]
KeywordLoss = Literal["none", "triplet", "aam", "sphereface2"]
PHONEME_LOSSES: dict[str, Callable[[], nn.Module]] = {
    "proxy-bd": ProxyBDLoss,
    "proxy-ms": ProxyMSLoss,
    "clat": PhonemeInfoNCELoss,
    "asyp": AsyPLoss,
    "adams": lambda: AdaMSLoss(len(SYMBOLS)),
}
KEYWORD_LOSSES: dict[str, Callable[[int, int], nn.Module]] = {  # of embeddings' size and the number of words
    "triplet": lambda dim, n_classes: TripletLoss(),
    "aam": AAMSoftmaxLoss,
    "sphereface2": SphereFace2Loss,
}
ADAMS_SCALE = 10.0  # of the learning rate


@dataclass(frozen=True, slots=True)
class ADMLSettings:
    """The recipe; weights are those of the terms of the loss."""

    encoder: ECAPASettings = field(default_factory=ECAPASettings)
    words: WordSettings = field(default_factory=lambda: WordSettings(words=250, instances=2))
    augment: AugmentSettings | None = WORD_AUGMENT
    phoneme: PhonemeLoss = "adams"
    keyword: KeywordLoss = "sphereface2"
    adversarial_phoneme: bool = True
    adversarial_utterance: bool = True
    margin_epochs: float = 10.0  # over which the margin of the keyword loss grows from 0
    phoneme_weight: float = 0.1
    adversarial_weight: float = 0.1


class ADMLModel(nn.Module):
    """The encoder, the cross-attention and the losses."""

    phoneme: Any  # of PHONEME_LOSSES
    keyword: Any  # of KEYWORD_LOSSES

    def __init__(self, settings: ADMLSettings, n_classes: int) -> None:
        super().__init__()
        self.encoder = ECAPAEncoder(settings.encoder)
        dim = settings.encoder.dim
        self.relational = RelationalProxyLoss()
        if settings.phoneme != "none":
            self.attention = CrossAttention(dim)
            self.monotonic = MonotonicMatchingLoss()
            self.phoneme = PHONEME_LOSSES[settings.phoneme]()
        if settings.keyword != "none":
            self.keyword = KEYWORD_LOSSES[settings.keyword](dim, n_classes)
        if settings.adversarial_phoneme or settings.adversarial_utterance:
            self.adversarial = ModalityAdversarialLoss(dim)


class ADMLRecipe(WordRecipe):
    """See train.recipe.Recipe."""

    name = "adml"
    criterion = "crossmodal_ap"
    model: ADMLModel

    def __init__(self, settings: ADMLSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs, mel=settings.encoder.mel, words=settings.words, augment=settings.augment)
        self.adml = settings
        self.model = ADMLModel(settings, len(self.batches.classes))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """AdaMS' margins and scales learn faster than the rest, and do not decay."""
        groups = super().parameter_groups(weight_decay)
        if self.adml.phoneme != "adams":
            return groups
        adaptive = list(self.model.phoneme.parameters())
        known = {id(parameter) for parameter in adaptive}
        rest = [{**group, "params": [p for p in group["params"] if id(p) not in known]} for group in groups]
        return [*rest, {"params": adaptive, "weight_decay": 0.0, "scale": ADAMS_SCALE}]

    def loss(self, batch: WordBatch) -> tuple[Tensor, dict[str, float]]:
        """Eq. 3 to 5."""
        s, model = self.adml, self.model
        heard, audio = model.encoder.audio(batch.mel, batch.lengths)
        spelt, text = model.encoder.text(batch.phones, batch.phone_lengths)
        terms = {"relational": model.relational(audio, text[batch.word], batch.word)}
        weights = {"relational": 1.0}
        if s.phoneme != "none":
            phone_lengths = batch.phone_lengths[batch.word]
            spelt = spelt[batch.word]
            aligned, affinity = model.attention(spelt, heard, phone_lengths, batch.lengths)
            terms["monotonic"] = model.monotonic(affinity, phone_lengths, batch.lengths)
            said = torch.arange(spelt.shape[1], device=spelt.device) < phone_lengths[:, None]
            sounds, phones = (F.normalize(x[said].float(), dim=1) for x in (aligned, spelt))
            label = batch.phones[batch.word][said]
            terms["phoneme"] = model.phoneme(sounds, phones, label)
            weights |= {"monotonic": 1.0, "phoneme": s.phoneme_weight}
            if s.adversarial_phoneme:
                terms["adversarial_phoneme"] = model.adversarial(sounds, phones)
                weights["adversarial_phoneme"] = s.adversarial_weight
        if s.adversarial_utterance:
            terms["adversarial"] = model.adversarial(audio, text)
            weights["adversarial"] = s.adversarial_weight
        if s.keyword == "triplet":
            terms["keyword"] = model.keyword(audio, text[batch.word], batch.word)
            weights["keyword"] = 1.0
        elif s.keyword != "none":
            model.keyword.margin_share = min(1.0, batch.epoch / s.margin_epochs)
            terms["keyword"] = model.keyword(audio, batch.label[batch.word])
            weights["keyword"] = 1.0
        total = sum((weights[name] * term for name, term in terms.items()), start=audio.new_zeros(()))
        figures = {name: term.item() for name, term in terms.items()} | {"frames": float(batch.lengths.sum())}
        if s.phoneme in ("asyp", "adams"):
            figures["phoneme"] -= model.phoneme.constant(label).item()  # of the hundreds that no embedding moves
        return total, figures


def small(settings: ADMLSettings) -> ADMLSettings:
    """For two cores and some hours of speech: half the width, 20 ms a step, fewer words in a batch."""
    mel = replace(settings.encoder.mel, window=0.032, hop=0.020)
    encoder = replace(settings.encoder, mel=mel, channels=128)
    return replace(settings, encoder=encoder, words=replace(settings.words, words=64))


def _row(phoneme: PhonemeLoss, keyword: KeywordLoss = "none", *, mal: str = "") -> ADMLSettings:
    return ADMLSettings(
        phoneme=phoneme,
        keyword=keyword,
        adversarial_phoneme=mal in ("phoneme", "both"),
        adversarial_utterance=mal in ("utterance", "both"),
    )


PLAN = Plan(
    make=ADMLRecipe,
    variants={
        "paper": ADMLSettings(),
        "rp": _row("none"),  # Table 1
        "rp-proxy-bd": _row("proxy-bd"),
        "rp-proxy-ms": _row("proxy-ms"),
        "rp-clat": _row("clat"),
        "rp-asyp": _row("asyp"),
        "rp-adams": _row("adams"),
        "rp-mal": _row("none", mal="utterance"),  # Table 2
        "adams-mal-phoneme": _row("adams", mal="phoneme"),
        "adams-mal": _row("adams", mal="both"),
        "adams-mal-triplet": _row("adams", "triplet", mal="both"),  # Table 3
        "adams-mal-aam": _row("adams", "aam", mal="both"),
    },
    loop=LoopSettings(learning_rate=1e-4, schedule="halving", warm_up=0.0, weight_decay=1e-5, clip=5.0, average=0.0),
    epochs=100,
    small=small,
)
