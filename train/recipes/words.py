"""What the recipes of segment encoders share: cut words as data, word discrimination as the figure on dev."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from stdsearch.encoder import pad_phones
from stdsearch.encoder.segment import SegmentEncoder
from stdsearch.features import MelSettings
from train.augment import AugmentSettings, augmenter
from train.figures import discrimination
from train.recipe import Inputs, Recipe
from train.speech import Phones, SpeechData
from train.words import WordBatch, WordBatches, WordSettings, cut_clip, find_clips, pad_clips

CLIPS_AT_ONCE = 256  # embedded together for the figures on dev

# masks short enough to leave most of a word; its borders are moved by WordSettings
WORD_AUGMENT = AugmentSettings(level=0, time_masks=1, time_mask=0.06, mel_masks=1, mel_mask=8)


class WordRecipe(Recipe):
    """A segment encoder that learns from batches of cut words.

    A subclass sets `model`, which has the encoder as `encoder`, and gives the loss.
    """

    def __init__(
        self, settings: Any, inputs: Inputs, *, mel: MelSettings, words: WordSettings, augment: AugmentSettings | None
    ) -> None:
        torch.manual_seed(inputs.seed)
        self._settings, self._words = settings, words
        train, self.dev = (
            SpeechData(inputs.of_split(split), inputs.folder, mel, inputs.cache, inputs.progress)
            for split in ("train", "dev")
        )
        self._train_seconds = train.seconds
        changed = augmenter(augment, mel, inputs.noise) if augment else None
        self.batches = WordBatches(train, words, changed, inputs.seed)
        self.steps_per_epoch = self.batches.steps_per_epoch

    @property
    def encoder(self) -> SegmentEncoder:
        """What learns."""
        encoder: SegmentEncoder = self.model.encoder  # type: ignore[assignment]
        return encoder

    def settings(self) -> dict[str, Any]:
        """See train.recipe.Recipe."""
        return {
            "kind": self.encoder.kind,
            "settings": asdict(self._settings),
            "train_seconds": round(self._train_seconds, 2),
        }

    def batch(self, step: int) -> WordBatch:
        """See train.words."""
        return self.batches(step)

    @torch.inference_mode()
    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        """Acoustic and cross-modal AP over dev's words that training would take."""
        encoder: SegmentEncoder = model.encoder  # type: ignore[assignment]
        clips = find_clips(self.dev, self._words)
        order = sorted(range(len(clips)), key=lambda i: clips[i].tend - clips[i].tbeg)
        embedded = [
            self._embed_clips(encoder, [cut_clip(self.dev, clips[i], clips[i].tbeg, clips[i].tend) for i in some])
            for some in (order[at : at + CLIPS_AT_ONCE] for at in range(0, len(order), CLIPS_AT_ONCE))
        ]
        if not embedded:
            return {}
        words = [clips[i].text for i in order]
        said = {clips[i].text: clips[i].phones for i in reversed(order)}
        types = sorted(said)
        return discrimination(torch.cat(embedded), words, embed_texts(encoder, [said[word] for word in types]), types)

    @staticmethod
    def _embed_clips(encoder: SegmentEncoder, clips: list[Tensor]) -> Tensor:
        mel, lengths = pad_clips(clips)
        device = next(encoder.parameters()).device
        return encoder.audio(mel.to(device), lengths.to(device))[1].float()


def embed_texts(encoder: SegmentEncoder, texts: Sequence[Phones]) -> Tensor:
    """Embeddings (n, dim) of phone strings."""
    phones, lengths = map(torch.from_numpy, pad_phones(texts))
    device = next(encoder.parameters()).device
    return encoder.text(phones.to(device), lengths.to(device))[1].float()
