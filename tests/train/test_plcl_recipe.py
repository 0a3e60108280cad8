from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from stdsearch.errors import StdSearchError
from stdsearch.verifier import VerifierSettings
from train.hard_negatives import N_SYMBOLS
from train.manifest import read_manifest
from train.pairs import HARD, MATCH, PairSettings
from train.recipe import Inputs
from train.recipes import plcl
from train.recipes.plcl import VARIANTS, PLCLRecipe, PLCLSettings

TINY = PLCLSettings(
    verifier=VerifierSettings(dim=8, positions=8, hidden=8, heads=2),
    pairs=PairSettings(pairs=16, words=(0.6, 0.4), neighbours=2, hard_distance=1.0),
    trials=6,
)


Make = Callable[..., PLCLRecipe]


@pytest.fixture
def make(manifest: Path, encoder_file: Path, tmp_path: Path) -> Make:
    utterances = read_manifest(manifest)

    def build(settings: PLCLSettings = TINY, **change: object) -> PLCLRecipe:
        inputs = Inputs(utterances, manifest.parent, tmp_path / "cache", encoder=encoder_file)
        return PLCLRecipe(settings, replace(inputs, **change))

    return build


def settled(recipe: PLCLRecipe) -> PLCLRecipe:
    """With a bank that holds every symbol, and no dropout."""
    recipe.model.eval()
    recipe.model.verifier.bank.copy_(torch.randn(recipe.model.verifier.bank.shape))
    return recipe


def test_the_loss_is_the_sum_of_its_terms(make: Make) -> None:
    recipe = settled(make())
    batch = recipe.batch(0)
    loss, figures = recipe.loss(batch)
    frames = batch.query_length.sum() + batch.example_length.sum()
    assert figures.pop("frames") == 4 * frames
    assert figures.keys() == {"clat", "claa", "uat", "uat3", "uaa", "uata"}
    assert loss.item() == pytest.approx(sum(figures.values()), rel=1e-5)


def test_variants_leave_out_what_they_say(make: Make) -> None:
    def terms(name: str) -> set[str]:
        paper = VARIANTS[name]
        settings = replace(TINY, enrolment=paper.enrolment, phoneme_level=paper.phoneme_level)
        recipe = settled(make(settings))
        return set(recipe.loss(recipe.batch(0))[1]) - {"frames"}

    assert terms("text") == {"clat", "uat", "uat3"}
    assert terms("audio") == {"claa", "uaa"}
    assert terms("without-phoneme-level") == {"uat", "uat3", "uaa", "uata"}
    assert terms("audio-without-phoneme-level") == {"uaa"}
    assert next(iter(VARIANTS)) == "paper"
    assert VARIANTS["without-hard-negatives"].pairs.edited == 0
    assert not VARIANTS["without-memory-bank"].verifier.memory_bank


def test_phrases_enrolled_by_text_alone_do_not_count_where_an_example_is_wanted(make: Make) -> None:
    recipe = settled(make())
    batch = recipe.batch(0)
    unheard = replace(
        batch,
        example_length=torch.zeros_like(batch.example_length),
        example_spans=torch.zeros_like(batch.example_spans),
    )
    loss, figures = recipe.loss(unheard)
    assert figures.keys() == {"clat", "uat", "uat3", "frames"}
    assert torch.isfinite(loss)


def test_the_phoneme_level_loss_is_that_of_means_over_the_alignment(make: Make) -> None:
    recipe = settled(make())
    verifier, batch = recipe.model.verifier, recipe.batch(0)
    audio, text, phone = [], [], []
    query = verifier.project_audio(batch.query)
    texts = verifier.project_text(batch.phones, batch.phone_length)
    for row in (batch.kind == MATCH).nonzero()[:, 0].tolist():
        for i in range(int(batch.phone_length[row])):
            begin, end = batch.query_spans[row, i].tolist()
            mean = sum(
                (min(end, t + 1) - max(begin, t)) * query[row, t]
                for t in range(query.shape[1])
                if min(end, t + 1) > max(begin, t)
            )
            audio.append(F.normalize(mean, dim=0))
            text.append(texts[row, i])
            phone.append(int(batch.phones[row, i]))
    total = 0.0
    for i, heard in enumerate(audio):
        sums = [
            (heard @ t / recipe.plcl.temperature).exp() for j, t in enumerate(text) if j == i or phone[j] != phone[i]
        ]
        total -= ((heard @ text[i] / recipe.plcl.temperature).exp() / sum(sums)).log().item()
    assert recipe.loss(batch)[1]["clat"] == pytest.approx(total / len(audio), rel=1e-4)


def test_made_negatives_are_the_query_with_vectors_of_the_bank(make: Make) -> None:
    recipe = settled(make())
    verifier, batch = recipe.model.verifier, recipe.batch(0)
    query = verifier.project_audio(batch.query)
    made, steps, rows = recipe._made(batch, query)
    assert len(made) == len(batch.edited_row) > 0
    bank = F.normalize(verifier.bank, dim=1)
    for i in range(len(made)):
        for t in range(int(steps[i])):
            source = int(batch.edited_source[i, t])
            expected = bank[source] if source < N_SYMBOLS else query[rows[i], source - N_SYMBOLS]
            assert torch.equal(made[i, t], expected)
    verifier.bank.zero_()
    lacking, _, _ = recipe._made(batch, query)
    inside = torch.arange(batch.edited_source.shape[1]) < batch.edited_steps[:, None]
    cut_out = ~((batch.edited_source < N_SYMBOLS) & inside).any(dim=1)  # by deletion alone, which needs no bank
    assert len(lacking) == int(cut_out.sum())


def test_the_bank_moves_in_training_alone_and_by_what_is_matched_well(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make()
    bank, batch = recipe.model.verifier.bank, recipe.batch(0)
    said = set(batch.phones[batch.kind == MATCH].flatten().tolist()) - {0}
    well = sorted(said)[:2]
    monkeypatch.setattr(plcl, "well_matched", lambda audio, text, phone: torch.isin(phone, torch.tensor(well)))
    recipe.model.eval()
    recipe.loss(batch)
    assert not bank.any()
    recipe.model.train()
    recipe.loss(batch)
    assert bank.any(dim=1).nonzero()[:, 0].tolist() == well


@pytest.mark.parametrize("enrolment", ["text", "audio", "both"])
def test_every_parameter_of_what_is_trained_gets_a_gradient(make: Make, enrolment: str) -> None:
    recipe = settled(make(replace(TINY, enrolment=enrolment)))
    loss, _ = recipe.loss(recipe.batch(0))
    loss.backward()
    without = {name.split(".")[1] for name, p in recipe.model.named_parameters() if p.grad is None}
    text = {"phone", "context", "text", "text_reading", "text_head", "category_head"}
    audio = {"audio_reading", "audio_head"}
    assert without == {"text": audio | {"joint_head"}, "audio": text | {"joint_head"}, "both": set()}[enrolment]


def test_the_same_seed_gives_the_same_loss(make: Make) -> None:
    one, other = settled(make()), make()
    other.model.load_state_dict(one.model.state_dict())
    other.model.eval()
    assert one.loss(one.batch(3))[0].item() == other.loss(other.batch(3))[0].item()
    assert make().settings() == make().settings()
    assert make().settings() != make(replace(TINY, temperature=1.0)).settings()


def test_training_lowers_the_loss_and_the_errors(make: Make) -> None:
    recipe = make(replace(TINY, copies=0))  # augmented ones, by an encoder that learnt nothing, are other sounds
    before = recipe.evaluate(recipe.model.eval())
    assert before.keys() == {
        f"{mode}_{pairs}_{figure}"
        for mode in ("text", "audio", "both")
        for pairs in ("easy", "hard")
        for figure in ("eer", "auc")
    } | {"auc"}
    recipe.model.train()
    optimizer = torch.optim.AdamW(recipe.model.parameters(), 0.01)
    losses = []
    for step in range(80):
        torch.manual_seed(step)
        loss, _ = recipe.loss(recipe.batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])
    assert recipe.model.verifier.bank.any()
    after = recipe.evaluate(recipe.model.eval())
    assert after["text_easy_auc"] > max(0.9, before["text_easy_auc"])


def test_figures_of_one_enrolment_are_of_it_alone(make: Make) -> None:
    recipe = make(replace(TINY, enrolment="text"))
    assert {name.split("_")[0] for name in recipe.evaluate(recipe.model.eval())} == {"text", "auc"}


def test_an_epoch_is_as_many_pairs_as_words(make: Make) -> None:
    assert make().steps_per_epoch == 2  # 18 words, 16 pairs


def test_dev_trials_are_the_same_whatever_the_seed(make: Make) -> None:
    one, other = make(), make(seed=5)
    assert torch.equal(one.dev[0].query, other.dev[0].query)
    assert (one.dev[0].kind == HARD).sum() == 6


def test_an_encoder_of_another_kind_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(StdSearchError, match="no such encoder"):
        make(encoder=tmp_path / "nowhere.safetensors")
