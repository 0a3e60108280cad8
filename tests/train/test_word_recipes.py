"""The recipes of JMCL and ADML with small networks, on made speech."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stdsearch.features import MelSettings
from train.loop import LoopSettings, fit
from train.losses import CLAPLoss, DWDLoss
from train.manifest import read_manifest
from train.recipe import Inputs, Recipe
from train.recipes import adml, jmcl
from train.recipes.words import WORD_AUGMENT, embed_texts
from train.words import WordSettings

WORDS = WordSettings(words=3, instances=2, shortest=0.3)
MEL = MelSettings(n_mels=20)


def small_jmcl(settings: jmcl.JMCLSettings) -> jmcl.JMCLSettings:
    encoder = replace(settings.encoder, mel=MEL, hidden=8, layers=1, dim=8)
    return replace(settings, encoder=encoder, words=WORDS)


def small_adml(settings: adml.ADMLSettings) -> adml.ADMLSettings:
    return replace(settings, encoder=replace(settings.encoder, mel=MEL, channels=16, dim=8), words=WORDS)


@pytest.fixture
def inputs(manifest: Path, tmp_path: Path) -> Inputs:
    return Inputs(read_manifest(manifest), manifest.parent, tmp_path)


def make(name: str, variant: str, inputs: Inputs) -> Recipe:
    if name == "jmcl":
        return jmcl.JMCLRecipe(small_jmcl(jmcl.PLAN.variants[variant]), inputs)
    return adml.ADMLRecipe(small_adml(adml.PLAN.variants[variant]), inputs)


ROWS = [("jmcl", variant) for variant in jmcl.PLAN.variants] + [("adml", variant) for variant in adml.PLAN.variants]


@pytest.mark.parametrize(("name", "variant"), ROWS)
def test_every_variant_has_a_loss_that_reaches_what_it_should(name: str, variant: str, inputs: Inputs) -> None:
    """DWD alone leaves the text encoder as it is; all other variants teach every parameter."""
    recipe = make(name, variant, inputs)
    loss, figures = recipe.loss(recipe.batch(0))
    loss.backward()
    untaught = {n.split(".")[1] for n, p in recipe.model.named_parameters() if p.grad is None or not p.grad.any()}
    assert math.isfinite(loss.item())
    assert all(map(math.isfinite, figures.values()))
    assert untaught <= ({"phone", "phones", "phones_out", "log_scale"} if variant == "dwd" else set())


def test_jmcl_is_its_formula(inputs: Inputs) -> None:
    """α1 times the mean over instances of the audio-text loss, plus α2 times DWD over all."""
    recipe = make("jmcl", "0.5-0.1", inputs)
    recipe.model.eval()
    batch = recipe.batch(1)
    encoder = recipe.model.encoder
    audio = encoder.audio(batch.mel, batch.lengths)[1]  # type: ignore[operator, union-attr]
    text = encoder.text(batch.phones, batch.phone_lengths)[1]  # type: ignore[operator, union-attr]
    views = [audio[0::2], audio[1::2]]
    clap = [CLAPLoss()(view, text, torch.arange(3), torch.empty(0, 2, dtype=torch.long)) for view in views]
    expected = 0.5 * sum(clap) / 2 + 0.1 * DWDLoss()(audio, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert recipe.loss(batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_adml_is_its_formula(inputs: Inputs) -> None:
    """Eq. 3 with the weights that the paper gives, and 0.1 of Eq. 4."""
    recipe = make("adml", "paper", inputs)
    recipe.model.eval()
    loss, figures = recipe.loss(recipe.batch(1))
    phoneme = recipe.model.phoneme.constant(_labels(recipe.batch(1))).item() + figures["phoneme"]  # type: ignore[operator, union-attr]
    expected = figures["relational"] + figures["keyword"] + figures["monotonic"] + 0.1 * phoneme
    expected += 0.1 * (figures["adversarial"] + figures["adversarial_phoneme"])
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def _labels(batch: Any) -> torch.Tensor:
    phones, lengths = batch.phones[batch.word], batch.phone_lengths[batch.word]
    return phones[torch.arange(phones.shape[1]) < lengths[:, None]]


def test_adams_learns_at_its_own_pace(inputs: Inputs) -> None:
    recipe = make("adml", "paper", inputs)
    groups = recipe.parameter_groups(0.01)
    assert [len(g["params"]) for g in groups if g.get("scale")] == [3]
    assert sum(len(g["params"]) for g in groups) == len(list(recipe.model.parameters()))


@pytest.mark.parametrize(("name", "variant"), [("jmcl", "paper"), ("adml", "paper")])
def test_the_same_seed_gives_the_same_losses_and_training_lowers_them(
    name: str, variant: str, inputs: Inputs, tmp_path: Path
) -> None:
    logs: list[list[dict[str, Any]]] = []
    for run in ("a", "b"):
        torch.manual_seed(int(run, 16))
        lines: list[dict[str, Any]] = []
        loop = LoopSettings(steps=100, learning_rate=3e-3, bf16=False, average=0.0, evaluate_every=100)
        fit(make(name, variant, inputs), tmp_path / run, loop, lines.append)
        logs.append(lines)
    assert [line["loss"] for line in logs[0]] == [line["loss"] for line in logs[1]]
    assert logs[0][-1]["loss"] < logs[0][0]["loss"]
    assert 0 <= logs[0][-1]["dev_acoustic_ap"] <= 1


def test_texts_that_are_padded_are_as_alone(inputs: Inputs) -> None:
    encoder = make("jmcl", "paper", inputs).model.eval().encoder
    texts = [("S", "T", "AA", "R"), ("AH",), ("K", "AH", "M")]
    together = embed_texts(encoder, texts)  # type: ignore[arg-type]
    for text, embedding in zip(texts, together, strict=True):
        torch.testing.assert_close(embedding, embed_texts(encoder, [text])[0], atol=1e-5, rtol=1e-4)  # type: ignore[arg-type]


def test_masks_leave_most_of_a_word() -> None:
    assert WORD_AUGMENT.time_masks * WORD_AUGMENT.time_mask < 0.25 * WordSettings().shortest
