"""`stdsearch train RECIPE` from the command line, with small networks, from tmp_path."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from stdsearch.audio import SAMPLE_RATE, read
from stdsearch.encoder import BiLSTMEncoder, load_encoder
from stdsearch.errors import StdSearchError
from stdsearch.verifier import load_verifier
from tests.train.test_plcl_recipe import TINY as TINY_PLCL
from tests.train.test_word_recipes import small_adml, small_jmcl
from train.cli import train
from train.manifest import read_manifest, words_to_json, write_manifest
from train.recipes import RECIPES, adml, jmcl, plcl

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    for module, shrink in ((jmcl, small_jmcl), (adml, small_adml)):
        variants = {name: shrink(settings) for name, settings in module.PLAN.variants.items()}
        monkeypatch.setattr(module, "PLAN", replace(module.PLAN, variants=variants, small=shrink))
    monkeypatch.setattr(plcl, "PLAN", replace(plcl.PLAN, variants={"paper": TINY_PLCL}))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(train, [str(argument) for argument in arguments])


def test_the_list_has_every_recipe_with_its_variants(run: Run) -> None:
    result = run("list")
    names, variants = result.stdout.splitlines()[::2], result.stdout.splitlines()[1::2]
    assert [line.split("\t")[0] for line in names] == list(RECIPES)
    assert dict(zip(RECIPES, variants, strict=True))["jmcl"].split() == list(jmcl.PLAN.variants)


def test_every_recipe_explains_itself(run: Run) -> None:
    for name in RECIPES:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "--variant" in result.stdout


def test_two_commands_from_librispeech_to_jmcl(run: Run, manifest: Path, tmp_path: Path) -> None:
    """The tree as it is unpacked; alignments that are known already, for the words are made of tones."""
    known = []
    for i, utterance in enumerate(read_manifest(manifest)):
        part = "dev-clean" if utterance.split == "dev" else "train-clean-100"
        speaker = str(100 + ord(utterance.speaker[-1]))
        folder = tmp_path / "LibriSpeech" / part / speaker / "7"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{speaker}-7-{i:04d}"
        soundfile.write(folder / f"{name}.flac", read(manifest.parent / utterance.audio), SAMPLE_RATE)
        with open(folder / f"{speaker}-7.trans.txt", "a") as transcript:
            transcript.write(f"{name} {' '.join(w.text for w in utterance.words).upper()}\n")
        known.append(json.dumps({"utterance": name, "words": words_to_json(utterance.words)}) + "\n")
    (tmp_path / "known.jsonl").write_text("".join(known))
    prepared = run(
        "prepare", "librispeech", "LibriSpeech", "--out", "l.jsonl", "--alignments", "known.jsonl", "--jobs", 1
    )
    assert prepared.exit_code == 0, prepared.output
    trained = run("jmcl", "--data", "l.jsonl", "--out", "run", "--epochs", 2, "--threads", 1)
    assert trained.exit_code == 0, trained.output
    exported = run("export", "run", "m.safetensors")
    assert exported.exit_code == 0, exported.output
    assert isinstance(load_encoder(tmp_path / "m.safetensors"), BiLSTMEncoder)
    assert "variant `paper`, 2 steps (2.0 epochs)" in (tmp_path / "m.md").read_text()


def test_a_verifier_is_exported(run: Run, manifest: Path, tmp_path: Path, encoder_file: Path) -> None:
    result = run("plcl", "--data", manifest, "--out", "run", "--steps", 2, "--threads", 1, "--encoder", encoder_file)
    assert result.exit_code == 0, result.output
    result = run("export", "run", "v.safetensors")
    assert result.exit_code == 0, result.output
    verifier = load_verifier(tmp_path / "v.safetensors")
    assert verifier.encoder_fingerprint == load_encoder(encoder_file).fingerprint
    average = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["average"]
    for name, value in verifier.state_dict().items():
        torch.testing.assert_close(value, average[f"module.verifier.{name}"], atol=1e-3, rtol=1e-3)
    assert (tmp_path / "v.md").read_text().startswith("# v\n\nVerifier of stdsearch")


def test_a_recipe_has_the_options_that_it_heeds(run: Run) -> None:
    offered = {name: run(name, "--help").stdout for name in RECIPES}
    assert [name for name, text in offered.items() if "--encoder" in text] == ["plcl"]
    assert [name for name, text in offered.items() if "--corpus-weight" in text] == ["span"]


def test_a_variant_is_what_is_trained(run: Run, manifest: Path, tmp_path: Path) -> None:
    result = run("adml", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1, "--variant", "rp")
    assert result.exit_code == 0, result.output
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text())
    assert "relational" in line
    assert "phoneme" not in line


def test_a_trained_encoder_is_gone_on_from(run: Run, manifest: Path, tmp_path: Path) -> None:
    command = ("jmcl", "--data", manifest, "--cache", "c", "--steps", 1, "--threads", 1)
    run(*command, "--out", "first")
    run("export", "first", "first.safetensors")
    result = run(*command, "--out", "more", "--start-from", "first.safetensors", "--learning-rate", 1e-12)
    assert result.exit_code == 0, result.output
    run("export", "more", "more.safetensors")
    first, more = (load_encoder(tmp_path / f"{name}.safetensors") for name in ("first", "more"))
    for name, weights in first.state_dict().items():
        assert torch.allclose(more.state_dict()[name], weights, atol=1e-3), name
    assert f"from encoder `{first.fingerprint}` on" in (tmp_path / "more.md").read_text()

    result = run("adml", "--data", manifest, "--out", "other", "--steps", 1, "--start-from", "first.safetensors")
    assert isinstance(result.exception, StdSearchError)
    assert "cannot start from encoder" in str(result.exception)


def test_figures_go_to_tensorboard_too(run: Run, manifest: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run("jmcl", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1, "--tensorboard")
    assert result.exit_code == 0, result.output
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    (scalar,) = events.Scalars("loss")
    assert scalar.step == 1
    assert scalar.value == pytest.approx(json.loads((tmp_path / "run" / "log.jsonl").read_text())["loss"], abs=1e-3)


def test_runs_share_a_cache(run: Run, manifest: Path, tmp_path: Path) -> None:
    for out in ("a", "b"):
        result = run("jmcl", "--data", manifest, "--out", out, "--cache", "c", "--steps", 1, "--threads", 1)
        assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "c").glob("mel-*.f16"))) == 2  # train and dev
    assert not list((tmp_path / "a").glob("mel-*"))


def test_a_checkpoint_of_another_recipe_is_refused_and_kept(run: Run, manifest: Path, tmp_path: Path) -> None:
    run("jmcl", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1)
    kept = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    result = run("adml", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1)
    assert isinstance(result.exception, StdSearchError)
    assert "made with another" in str(result.exception)
    assert "recipe" in str(result.exception)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == kept


def test_speakers_in_two_splits_are_refused_unless_told(run: Run, manifest: Path, tmp_path: Path) -> None:
    shared = [replace(u, speaker="s", audio=manifest.parent / u.audio) for u in read_manifest(manifest)]
    write_manifest(tmp_path / "shared.jsonl", shared)
    command = ("jmcl", "--data", "shared.jsonl", "--out", "run", "--steps", 1, "--threads", 1)
    result = run(*command)
    assert isinstance(result.exception, StdSearchError)
    assert "--allow-shared-speakers" in str(result.exception)
    assert run(*command, "--allow-shared-speakers").exit_code == 0


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [(["mad=0"], "has no corpus 'mad' in train; its corpora are made"), (["made=0"], "leaves no corpus to train on")],
)
def test_corpora_that_cannot_be_weighed_are_told(run: Run, manifest: Path, weights: list[str], complaint: str) -> None:
    options = [part for weight in weights for part in ("--corpus-weight", weight)]
    result = run("span", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1, *options)
    assert isinstance(result.exception, StdSearchError)
    assert complaint in str(result.exception)


def test_a_run_on_other_data_is_refused(run: Run, manifest: Path, tmp_path: Path) -> None:
    utterances = [replace(u, audio=manifest.parent / u.audio) for u in read_manifest(manifest)]
    for n, some in enumerate((utterances, utterances[1:])):
        write_manifest(tmp_path / f"{n}.jsonl", some)
    assert run("jmcl", "--data", "0.jsonl", "--out", "run", "--steps", 1, "--threads", 1).exit_code == 0
    result = run("jmcl", "--data", "1.jsonl", "--out", "run", "--steps", 1, "--threads", 1)
    assert isinstance(result.exception, StdSearchError)
    assert "data" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--device", "cuda:99"), "--device cuda:99: cannot be used"),
        (("--device", "toaster"), "--device toaster: cannot be used"),
        (("--device", "meta"), "--device meta: cannot be used"),
        (("--cache", "file"), "file: cannot be made"),
    ],
)
def test_bad_input_is_told_in_a_line(
    run: Run, manifest: Path, tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    (tmp_path / "file").touch()
    result = run("jmcl", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1, *options)
    assert isinstance(result.exception, StdSearchError)
    assert str(result.exception).startswith(complaint)
    assert "\n" not in str(result.exception)


def test_a_run_that_cannot_be_written_is_told(run: Run, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "log.jsonl").mkdir(parents=True)
    result = run("jmcl", "--data", manifest, "--out", "run", "--steps", 1, "--threads", 1)
    assert isinstance(result.exception, StdSearchError)
    assert str(result.exception).startswith("run: cannot be written (Is a directory)")


def test_a_length_is_given_once(run: Run, manifest: Path) -> None:
    result = run("jmcl", "--data", manifest, "--out", "run", "--steps", 1, "--epochs", 1)
    assert result.exit_code == 2
    assert "--epochs or --steps" in result.stderr
