"""PLCL (arXiv 2412.20805): a verifier learnt from pairs, down to their phonemes, with hard negatives of its own making.

    L_at = L_uat + L_uat3 + L_clat    (Eq. 5)    L_aa = L_uaa + L_claa    (Eq. 7)    L = L_at + L_aa + L_uata    (Eq. 8)

L_uat, L_uata: binary cross-entropy of match or not, by text and by both; L_uaa: focal loss, by the example; L_uat3:
cross-entropy of the third-category discriminator; L_clat, L_claa: InfoNCE over all phonemes of the batch's matches,
query audio against text, and against the example. `stdsearch.verifier.network` says what is done otherwise there; here:

- Other samples of the same phoneme are no negatives of a phoneme in L_clat and L_claa.
- The third category holds negatives made out of the memory bank and mined ones, which differ in a confusable word.
- Words that the model gets wrong are not paired more often: a batch follows from the seed and its step alone.
- A phrase that is said once, or nowhere, is enrolled by text alone; the losses of the other branches leave it out.

Deviations apart, the variants are the rows of Table II (`text...`) and III, and the same ablations of the whole.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.encoder import SpanEncoder, load_encoder
from stdsearch.encoder.span import STRIDE
from stdsearch.errors import StdSearchError
from stdsearch.metrics.trials import equal_error_rate, roc_area
from stdsearch.verifier import Verifier, VerifierSettings, interval_means
from stdsearch.verifier.network import STEPS
from train.augment import AugmentSettings
from train.frame_data import FrameData
from train.hard_negatives import N_SYMBOLS
from train.loop import LoopSettings
from train.losses import FocalLoss, PhonemeInfoNCELoss
from train.memory_bank import MOMENTUM, filled, updated, well_matched
from train.pairs import EASY, HARD, MATCH, PairBatches, Pairs, PairSettings, Phrases, collate
from train.recipe import Inputs, Recipe, to_device
from train.recipes import Plan

MODES = ("text", "audio", "both")
CHUNK = 128  # dev trials scored together


@dataclass(frozen=True, slots=True)
class PLCLSettings:
    """The recipe."""

    verifier: VerifierSettings = field(default_factory=VerifierSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    copies: int = 1  # augmented copies of each utterance
    enrolment: Literal["text", "audio", "both"] = "both"  # which branches are trained
    phoneme_level: bool = True
    temperature: float = 0.04  # τ of Eqs. 1 and 2; the paper gives none
    momentum: float = MOMENTUM
    trials: int = 400  # of each kind, on dev


_PAPER = PLCLSettings()
_PLAIN = replace(_PAPER, pairs=replace(_PAPER.pairs, edited=0.0))
_NO_BANK = replace(_PLAIN, verifier=replace(_PAPER.verifier, memory_bank=False))
VARIANTS: dict[str, PLCLSettings] = {
    "paper": _PAPER,
    "without-phoneme-level": replace(_PAPER, phoneme_level=False),
    "without-memory-bank": _NO_BANK,  # and so without the negatives made out of it
    "without-hard-negatives": _PLAIN,  # made ones: mined ones stand for those that LibriPhrase has
    "for-search": replace(_PAPER, pairs=replace(_PAPER.pairs, crossing=0.5)),  # ours: what search takes for a term
    "text": replace(_PAPER, enrolment="text"),
    "text-without-hard-negatives": replace(_PLAIN, enrolment="text"),
    "text-without-memory-bank": replace(_NO_BANK, enrolment="text"),
    "text-without-phoneme-level": replace(_PLAIN, enrolment="text", phoneme_level=False),
    "audio": replace(_PAPER, enrolment="audio"),
    "audio-without-hard-negatives": replace(_PLAIN, enrolment="audio"),
    "audio-without-phoneme-level": replace(_PLAIN, enrolment="audio", phoneme_level=False),
}


class PLCLModel(nn.Module):
    """The verifier and the losses."""

    def __init__(self, verifier: Verifier, temperature: float) -> None:
        super().__init__()
        self.verifier = verifier
        self.phoneme = PhonemeInfoNCELoss(temperature)
        self.focal = FocalLoss()


class PLCLRecipe(Recipe):
    """See train.recipe.Recipe."""

    name = "plcl"
    product = "verifier"
    criterion = "auc"
    model: PLCLModel

    def __init__(self, settings: PLCLSettings, inputs: Inputs) -> None:
        torch.manual_seed(inputs.seed)
        encoder = load_encoder(inputs.encoder)
        if not isinstance(encoder, SpanEncoder):
            raise StdSearchError(f"{inputs.encoder}: is no span encoder; give one, whose frames a verifier can judge")
        shape = replace(settings.verifier, width=encoder.settings.hidden)
        self.plcl = replace(settings, verifier=shape)
        self.fingerprint = encoder.fingerprint
        self.model = PLCLModel(Verifier(shape, encoder.fingerprint), settings.temperature)
        self.train = FrameData(
            inputs.of_split("train"),
            inputs.folder,
            encoder,
            inputs.cache,
            copies=settings.copies,
            augment=settings.augment,
            noise=inputs.noise,
            progress=inputs.progress,
        )
        dev = FrameData(inputs.of_split("dev"), inputs.folder, encoder, inputs.cache, progress=inputs.progress)
        self._batches = PairBatches(Phrases(self.train, settings.pairs), inputs.seed)
        # an epoch is as many pairs as words are said
        n_words = sum(len(utterance.words) for utterance in self.train.utterances)
        self.steps_per_epoch = -(-n_words // settings.pairs.pairs)
        self.dev = dev_trials(Phrases(dev, settings.pairs), settings.trials)

    def settings(self) -> dict[str, Any]:
        """Everything that must be equal for a checkpoint to go on."""
        seconds = round(self.train.seconds, 2)
        return {"settings": asdict(self.plcl), "encoder": self.fingerprint, "train_seconds": seconds}

    def batch(self, step: int) -> Pairs:
        """See train.pairs."""
        return self._batches(step)

    def loss(self, batch: Pairs) -> tuple[Tensor, dict[str, float]]:
        """Eq. 8, or 5 or 7 of one branch; moves the memory bank, where the model is being trained.

        Among the figures, "frames" counts mel frames of 10 ms.
        """
        s, verifier = self.plcl, self.model.verifier
        query = verifier.project_audio(batch.query)
        example = verifier.project_audio(batch.example)
        text = verifier.project_text(batch.phones, batch.phone_length)
        losses = self._phoneme_level(batch, query, example, text)

        # the negatives made out of the memory bank are further rows, enrolled as those that they were made of
        made, made_steps, made_row = self._made(batch, query)
        row = torch.cat([torch.arange(len(query), device=query.device), made_row])
        width = max(query.shape[1], made.shape[1])
        query = torch.cat([F.pad(x, (0, 0, 0, width - x.shape[1])) for x in (query, made)])
        n_steps = torch.cat([STEPS * batch.query_length, made_steps])
        kind = torch.cat([batch.kind, torch.full_like(made_row, HARD)])
        target = (kind == MATCH).to(query.dtype)

        of_text = of_audio = query.new_zeros(len(query), s.verifier.hidden)
        if s.enrolment != "audio":
            of_text = verifier.match_text(text[row], batch.phones[row], batch.phone_length[row], query, n_steps)
            losses["uat"] = F.binary_cross_entropy_with_logits(verifier.text_head(of_text).squeeze(-1), target)
            losses["uat3"] = F.cross_entropy(verifier.category_head(of_text), kind)
        (heard,) = (batch.example_length[row] > 0).nonzero(as_tuple=True)
        if s.enrolment != "text" and len(heard):
            steps = STEPS * batch.example_length[row]
            of_audio = verifier.match_audio(example[row], steps, query, n_steps)
            losses["uaa"] = self.model.focal(verifier.audio_head(of_audio[heard]).squeeze(-1), target[heard])
        if s.enrolment == "both" and len(heard):
            joint = verifier.joint_head(torch.cat([of_text, of_audio], dim=-1)[heard]).squeeze(-1)
            losses["uata"] = F.binary_cross_entropy_with_logits(joint, target[heard])
        total = torch.stack([query.sum() * 0.0, *losses.values()]).sum()
        frames = STRIDE * (batch.query_length.sum() + batch.example_length.sum())
        return total, {**{name: value.item() for name, value in losses.items()}, "frames": float(frames)}

    def _phoneme_level(self, batch: Pairs, query: Tensor, example: Tensor, text: Tensor) -> dict[str, Tensor]:
        """L_clat and L_claa of the phonemes of the batch's matches; what they are made of goes into the bank."""
        s, verifier = self.plcl, self.model.verifier
        said = batch.query_spans[..., 1] > batch.query_spans[..., 0]
        heard_too = said & (batch.example_spans[..., 1] > batch.example_spans[..., 0])
        spoken = F.normalize(interval_means(query, *batch.query_spans.unbind(-1)), dim=-1)
        heard = F.normalize(interval_means(example, *batch.example_spans.unbind(-1)), dim=-1)
        phone, phone_too = batch.phones[said], batch.phones[heard_too]
        losses = {}
        if s.phoneme_level and s.enrolment != "audio" and len(phone):
            losses["clat"] = self.model.phoneme(spoken[said], text[said], label=phone)
        if s.phoneme_level and s.enrolment != "text" and len(phone_too):
            losses["claa"] = self.model.phoneme(spoken[heard_too], heard[heard_too], label=phone_too)
        if self.model.training:
            by_example = s.enrolment == "audio"  # whose text is not trained
            at, against = (heard_too, heard) if by_example else (said, text)
            audio, phone = spoken[at].detach(), batch.phones[at]
            good = well_matched(audio, against[at].detach(), phone) if len(audio) else phone > 0
            verifier.bank.copy_(updated(verifier.bank, audio[good], phone[good], momentum=s.momentum))
        return losses

    def _made(self, batch: Pairs, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Negatives (m, T', dim) made out of the bank, their steps (m,), and the rows (m,) that they were made of.

        Those that want a symbol that the bank does not have yet are left out.
        """
        bank = F.normalize(self.model.verifier.bank, dim=-1)
        source, row = batch.edited_source, batch.edited_row
        inside = torch.arange(source.shape[1], device=source.device) < batch.edited_steps[:, None]
        lacking = inside & (source < N_SYMBOLS) & ~filled(bank)[source.clamp_max(N_SYMBOLS - 1)]
        source, row, steps = (x[~lacking.any(dim=1)] for x in (source, row, batch.edited_steps))
        table = torch.cat([bank.expand(len(row), -1, -1), query[row]], dim=1)
        return table.gather(1, source[..., None].expand(-1, -1, query.shape[2])), steps, row

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """EER and area under the ROC curve on dev, by enrolment, on easy and on hard pairs, all trials pooled.

        auc is the mean of the areas.
        """
        assert isinstance(model, PLCLModel)
        odds = [dev_odds(model.verifier, batch) for batch in self.dev]
        kind = torch.cat([batch.kind for batch in self.dev]).numpy()
        heard = torch.cat([batch.example_length > 0 for batch in self.dev]).numpy()
        figures = {}
        for mode in MODES if self.plcl.enrolment == "both" else (self.plcl.enrolment,):
            counted = heard if mode != "text" else np.ones(len(heard), bool)
            score = np.concatenate([found[mode] for found in odds])
            for name, other in (("easy", EASY), ("hard", HARD)):
                matches, others = score[counted & (kind == MATCH)], score[counted & (kind == other)]
                if len(matches) and len(others):
                    figures[f"{mode}_{name}_eer"] = equal_error_rate(matches, others)
                    figures[f"{mode}_{name}_auc"] = roc_area(matches, others)
        areas = [value for name, value in figures.items() if name.endswith("_auc")]
        return {**figures, "auc": float(np.mean(areas))} if areas else {}


def dev_trials(phrases: Phrases, n: int) -> list[Pairs]:
    """Trials, n of each kind, the same in every run, in batches; with an example wherever the phrase is said again."""
    random = np.random.default_rng(0)
    trials = [phrases.match(random, repeated=True) for _ in range(n)]
    trials += [phrases.easy(random, repeated=True) for _ in range(n)]
    trials += [phrases.hard(random, spoken=True) for _ in range(n)]
    return [collate(trials[i : i + CHUNK], phrases) for i in range(0, len(trials), CHUNK)]


def dev_odds(verifier: Verifier, batch: Pairs) -> dict[str, np.ndarray]:
    """Log odds (b,) of trials by enrolment."""
    batch = to_device(batch, verifier.bank.device)
    query, n_steps = verifier.project_audio(batch.query), STEPS * batch.query_length
    text = verifier.project_text(batch.phones, batch.phone_length)
    of_text = verifier.match_text(text, batch.phones, batch.phone_length, query, n_steps)
    example = verifier.project_audio(batch.example)
    of_audio = verifier.match_audio(example, STEPS * batch.example_length, query, n_steps)
    given = {
        mode: torch.tensor([mode in ("text", "both"), mode in ("audio", "both")], device=query.device) for mode in MODES
    }
    return {
        mode: verifier.log_odds(of_text, of_audio, *has.expand(len(query), 2).unbind(1)).cpu().numpy()
        for mode, has in given.items()
    }


# The paper has SGD at 0.01 for 50 epochs. It learns here as well, but is far behind after as many steps, most of all by
# audio, where the focal loss is small.
PLAN = Plan(
    make=PLCLRecipe,
    variants=VARIANTS,
    loop=LoopSettings(learning_rate=2e-3, bf16=False),
    takes=frozenset({"encoder"}),
)
