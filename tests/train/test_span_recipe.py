import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from stdsearch.encoder import EncoderSettings, load_encoder
from stdsearch.errors import StdSearchError
from train.cli import train
from train.data import DataSettings
from train.loop import LoopSettings, fit
from train.manifest import Word, read_manifest, write_manifest
from train.recipe import Inputs
from train.recipes import span
from train.recipes.span import SpanRecipe, SpanSettings

TINY = SpanSettings(
    encoder=EncoderSettings(channels=16, dilations=(1, 2), hidden=8, dim=8, head=16, text_channels=8, text_blocks=1),
    data=DataSettings(crops=4, crop_seconds=2.0, isolated=3, runs=3, dictionary_negatives=5, edited_negatives=10),
    text_chunk=7,
)
DICTIONARY = [("D", "AO", "G"), ("K", "AE", "T", "S")]


@pytest.fixture
def recipe(manifest: Path, tmp_path: Path) -> SpanRecipe:
    return make(manifest, tmp_path)


def make(manifest: Path, cache: Path, settings: SpanSettings = TINY, **change: Any) -> SpanRecipe:
    utterances = read_manifest(manifest)
    noise = [manifest.parent / "d0.wav"]
    inputs = Inputs(utterances, manifest.parent, cache, noise=noise, dictionary=DICTIONARY)
    return SpanRecipe(settings, replace(inputs, **change))


def test_the_same_seed_gives_the_same_loss_and_gradients(manifest: Path, tmp_path: Path, recipe: SpanRecipe) -> None:
    """The second recipe reads the log-mel that the first has left in the cache."""
    losses = []
    for one in (recipe, make(manifest, tmp_path)):
        one.model.eval()
        loss, figures = one.loss(one.batch(3))
        assert loss.item() == pytest.approx(figures["clap"] + 0.1 * figures["dwd"] + figures["phone"], rel=0.3)
        loss.backward()
        losses.append((loss.item(), [p.grad for p in one.model.encoder.parameters()]))
    assert losses[0][0] == losses[1][0]
    for a, b in zip(losses[0][1], losses[1][1], strict=True):
        assert a is not None
        assert torch.equal(a, b)


def test_spans_without_a_term_of_the_loss_do_not_count(manifest: Path, tmp_path: Path) -> None:
    settings = replace(TINY, dwd_weight=0.0, phone_weight=0.0, edge_weight=0.0)
    recipe = make(manifest, tmp_path, settings)
    loss, figures = recipe.loss(recipe.batch(0))
    assert loss.item() == pytest.approx(figures["clap"])


def test_texts_are_embedded_as_one_by_one(recipe: SpanRecipe) -> None:
    encoder = recipe.model.encoder.eval()
    texts = [("S", "T", "AA", "R"), ("AH",), ("IY", "V", "N", "IH", "NG"), *(("K", "AH", "M") for _ in range(8))]
    with torch.inference_mode():
        together = recipe._embed(encoder, texts)
    for text, embedding in zip(texts, together.numpy(), strict=True):
        assert embedding == pytest.approx(encoder.embed_phones([text])[0], abs=1e-5)


def test_shares_of_right_phones_and_edges_are_those_of_the_heads(recipe: SpanRecipe) -> None:
    """On dev, whole utterances: counted again from what the engine gives."""
    model = recipe.model.eval()
    right = right_edges = total = 0
    for i in range(2):
        mel = recipe.dev.mel[recipe.dev.offset[i] : recipe.dev.offset[i + 1]].float()
        n = -(-len(mel) // 4)
        mel = torch.nn.functional.pad(mel, (0, 0, 0, 4 * n - len(mel)))
        with torch.inference_mode():
            hidden, _ = model.encoder.encode(mel[None], torch.tensor([recipe.dev.n_frames(i)]))
            best = model.encoder.phone_logits(hidden)[0].argmax(dim=-1)
            edge = model.encoder.edge_logits(hidden)[0] > 0
        for k, symbol in enumerate(best.tolist()):
            middle = 0.02 * k + 0.005
            said = [s for s, (b, e) in zip(recipe.dev.phones[i], recipe.dev.times[i], strict=True) if b <= middle < e]
            right += symbol == (said[0] if said else 0)
            words = recipe.dev.utterances[i].words
            near = any(abs(time - middle) <= 0.02 for word in words for time in (word.tbeg, word.tend))
            right_edges += edge[k].item() == near
            total += 1
    figures = recipe.evaluate(model)
    assert figures["phone_acc"] == pytest.approx(right / total)
    assert figures["edge_acc"] == pytest.approx(right_edges / total)
    assert 0 <= figures["acoustic_ap"] <= 1
    assert 0 <= figures["crossmodal_ap"] <= 1


def test_dev_without_long_words_tells_the_phones_alone(manifest: Path, tmp_path: Path) -> None:
    def short(word: Word) -> Word:
        return replace(word, text=word.text[:4])

    utterances = [replace(u, words=tuple(map(short, u.words))) for u in read_manifest(manifest)]
    recipe = make(manifest, tmp_path, utterances=utterances)
    assert recipe.evaluate(recipe.model.eval()).keys() == {"phone_acc", "edge_acc"}


def test_a_corpus_of_no_weight_is_never_drawn(manifest: Path, tmp_path: Path) -> None:
    utterances = read_manifest(manifest)
    utterances = [replace(u, corpus="other") if u.utterance == "u0" else u for u in utterances]
    settings = replace(TINY, data=replace(TINY.data, paired=0.0))
    recipe = make(manifest, tmp_path, settings, utterances=utterances, corpus_weight=(("other", 0.0),))
    assert recipe.train.utterances[0].corpus == "other"
    drawn = {u for step in range(20) for u, _ in recipe._batches._pick_crops(np.random.default_rng(step))}
    assert drawn == {1, 2, 3, 4, 5}


def test_training_lowers_the_loss(recipe: SpanRecipe, tmp_path: Path) -> None:
    settings = LoopSettings(steps=100, learning_rate=0.01, warm_up=0.1, bf16=False, average=0.9)
    lines: list[dict] = []
    fit(recipe, tmp_path, settings, lines.append)
    assert lines[1]["loss"] < 0.9 * lines[0]["loss"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """`stdsearch train` with small networks and batches, from tmp_path."""
    monkeypatch.setattr(span, "PLAN", replace(span.PLAN, variants={"full": TINY}))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(train, [str(argument) for argument in arguments])


def test_from_a_manifest_to_an_encoder(run: Callable[..., Result], manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "n.wav").symlink_to(manifest.parent / "d0.wav")
    command = ("span", "--data", manifest, "--out", "run", "--noise", "noise", "--steps", 2, "--threads", 1)
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert not result.stdout
    assert "step 2" in result.stderr
    assert result.stderr.endswith("Next: stdsearch train export run MODEL.safetensors\n")
    (line,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 2

    result = run("export", "run", "model.safetensors")
    assert result.exit_code == 0, result.output
    assert [row.split("\t")[0] for row in result.stdout.splitlines()] == [
        "dev_phone_acc", "dev_edge_acc", "dev_acoustic_ap", "dev_crossmodal_ap",
    ]  # fmt: skip
    assert load_encoder(tmp_path / "model.safetensors").settings == TINY.encoder
    assert "| train | made | 0.00 | 6 | 3 |" in (tmp_path / "model.md").read_text()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"--data": "nowhere.jsonl"}, "nowhere.jsonl: cannot be read"),
        ({"--data": "empty.jsonl"}, "empty.jsonl: holds no utterance"),
        ({"--data": "no-dev.jsonl"}, "no-dev.jsonl: nothing is said in the split dev"),
        ({"--data": "shared.jsonl"}, "shared.jsonl: speaker s0 is in the splits dev and train"),
        ({"--noise": "nowhere"}, "nowhere: no such folder"),
        ({"--out": "empty.jsonl"}, "empty.jsonl: cannot be made"),
    ],
)
def test_bad_input_is_told_in_a_line(
    run: Callable[..., Result], manifest: Path, tmp_path: Path, change: dict[str, str], complaint: str
) -> None:
    utterances = read_manifest(manifest)
    (tmp_path / "empty.jsonl").touch()
    write_manifest(tmp_path / "no-dev.jsonl", utterances[:6])
    write_manifest(tmp_path / "shared.jsonl", [replace(u, speaker="s0") for u in utterances])
    options = {"--data": manifest, "--out": "run", "--steps": 2, "--threads": 1, **change}
    result = run("span", *(part for option in options.items() for part in option))
    assert isinstance(result.exception, StdSearchError)
    assert complaint in str(result.exception)
    assert "\n" not in str(result.exception)
