"""JMCL: joint CLAP and DWD on cut words (Gundluru, Gupta, Murty: arXiv 2512.14115).

    L = α1 · mean_m L_at^m + α2 · L_aa

L_at^m is the symmetric audio-text loss over the m-th instance of each word, L_aa Deep Word Discrimination over all
instances. The variants are the rows of the paper's table of weights.

Where it differs: our phones carry no stress; log-mel where the public code takes mel; words are cut a little inexactly
and augmented, unless `augment` is None and `border_noise` 0; the centroids of DWD leave the sample out (as the paper
writes, not as the code does).
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from stdsearch.encoder.bilstm import BiLSTMEncoder, BiLSTMSettings
from train.augment import AugmentSettings
from train.loop import LoopSettings
from train.losses import CLAPLoss, DWDLoss
from train.recipe import Inputs
from train.recipes import Plan
from train.recipes.words import WORD_AUGMENT, WordRecipe
from train.words import WordBatch, WordSettings


@dataclass(frozen=True, slots=True)
class JMCLSettings:
    """The recipe; clap is α1, dwd α2."""

    encoder: BiLSTMSettings = field(default_factory=BiLSTMSettings)
    words: WordSettings = field(default_factory=WordSettings)
    augment: AugmentSettings | None = WORD_AUGMENT
    clips_at_once: int = 64
    clap: float = 0.1
    dwd: float = 1.0


class JMCLModel(nn.Module):
    """The encoder and the losses."""

    def __init__(self, settings: BiLSTMSettings) -> None:
        super().__init__()
        self.encoder = BiLSTMEncoder(settings)
        self.clap = CLAPLoss()
        self.dwd = DWDLoss()


class JMCLRecipe(WordRecipe):
    """See train.recipe.Recipe."""

    name = "jmcl"
    criterion = "acoustic_ap"
    model: JMCLModel

    def __init__(self, settings: JMCLSettings, inputs: Inputs) -> None:
        super().__init__(settings, inputs, mel=settings.encoder.mel, words=settings.words, augment=settings.augment)
        self.jmcl = settings
        self.model = JMCLModel(settings.encoder)

    def loss(self, batch: WordBatch) -> tuple[Tensor, dict[str, float]]:
        """α1 · mean_m L_at^m + α2 · L_aa."""
        s, model = self.jmcl, self.model
        audio = self._embed_by_length(batch.mel, batch.lengths)
        figures = {"frames": float(batch.lengths.sum())}
        total = audio.new_zeros(())
        if s.clap:
            text = model.encoder.text(batch.phones, batch.phone_lengths)[1]
            views = audio.unflatten(0, (len(text), -1)).unbind(1)
            own = batch.word.new_tensor(range(len(text)))
            ignored = own.new_empty(0, 2)
            clap = sum(model.clap(view, text, own, ignored) for view in views) / len(views)
            total = total + s.clap * clap
            figures["clap"] = clap.item()
        if s.dwd:
            dwd = model.dwd(audio, batch.word)
            total = total + s.dwd * dwd
            figures["dwd"] = dwd.item()
        return total, figures

    def _embed_by_length(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (N, dim), made of clips of about one length at a time: of all, most frames would be padding."""
        parts = lengths.argsort().split(self.jmcl.clips_at_once)
        embedded = [self.encoder.audio(mel[part, : int(lengths[part].max())], lengths[part])[1] for part in parts]
        return torch.cat(embedded)[torch.cat(parts).argsort()]


def small(settings: JMCLSettings) -> JMCLSettings:
    """For two cores and some hours of speech: half the width, two layers, 20 ms a step, fewer words in a batch."""
    mel = replace(settings.encoder.mel, n_mels=64, window=0.040, hop=0.020)
    encoder = replace(settings.encoder, mel=mel, hidden=128, layers=2, dim=256)
    return replace(settings, encoder=encoder, words=replace(settings.words, words=64))


PLAN = Plan(
    make=JMCLRecipe,
    variants={
        "paper": JMCLSettings(),
        "clap": JMCLSettings(clap=1.0, dwd=0.0),
        "dwd": JMCLSettings(clap=0.0, dwd=1.0),
        "1-0.1": JMCLSettings(clap=1.0, dwd=0.1),
        "1-0.5": JMCLSettings(clap=1.0, dwd=0.5),
        "1-1": JMCLSettings(clap=1.0, dwd=1.0),
        "0.5-0.1": JMCLSettings(clap=0.5, dwd=0.1),
    },
    loop=LoopSettings(learning_rate=1e-3, schedule="onecycle", warm_up=0.2, weight_decay=1e-4, clip=1.0, average=0.0),
    epochs=30,
    small=small,
)
