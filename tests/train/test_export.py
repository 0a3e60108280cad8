import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from stdsearch.encoder import EncoderSettings, load_encoder, save_encoder
from stdsearch.errors import StdSearchError
from train.cli import train
from train.export import commit, describe_data, export
from train.loop import LoopSettings, fit
from train.manifest import read_manifest
from train.recipe import Recipe
from train.recipes.span import SpanModel

TINY = EncoderSettings(channels=16, dilations=(1, 2), hidden=8, dim=8, head=16, text_channels=8, text_blocks=1)
DATA = [{"split": "train", "corpus": "made", "hours": 1.5, "utterances": 30, "speakers": 4}]
ABOUT = {"recipe": "still", "variant": "full", "small": False, "steps_per_epoch": 10, "commit": "abc", "data": DATA}


class Still(Recipe):
    """A recipe of one step that pulls every weight of the encoder by a little."""

    name = "still"
    criterion = "phone_acc"
    steps_per_epoch = 10

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = SpanModel(TINY)

    def settings(self) -> dict:
        return {"kind": "span", "settings": {"encoder": asdict(TINY)}}

    def batch(self, step: int) -> None:
        return None

    def loss(self, batch: None) -> tuple[torch.Tensor, dict[str, float]]:
        return sum(p.square().sum() for p in self.model.parameters()), {}  # type: ignore[return-value]

    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        return {"phone_acc": 0.625}


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, SpanModel]:
    """A finished run and its averaged model."""
    out = tmp_path / "run"
    settings = LoopSettings(steps=60, evaluate_every=50, bf16=False)
    model = fit(Still(), out, settings, lambda line: None)
    (out / "run.json").write_text(json.dumps(ABOUT))
    assert isinstance(model, SpanModel)
    return out, model


def test_the_average_is_exported_with_its_provenance(trained: tuple[Path, SpanModel], tmp_path: Path) -> None:
    run, averaged = trained
    figures = export(run, tmp_path / "tiny.safetensors")
    assert (figures["step"], figures["dev_phone_acc"]) == (60, 0.625)
    encoder = load_encoder(tmp_path / "tiny.safetensors")
    assert encoder.settings == TINY
    assert encoder.fingerprint == averaged.encoder.fingerprint
    assert encoder.metadata == {"recipe": "still", "variant": "full", "steps": "60", "commit": "abc"}


def test_the_card_says_what_it_is_and_what_it_learnt_from(trained: tuple[Path, SpanModel], tmp_path: Path) -> None:
    run, averaged = trained
    export(run, tmp_path / "tiny.safetensors")
    card = (tmp_path / "tiny.md").read_text()
    assert card.startswith("# tiny\n")
    for line in (
        "- recipe `still`, variant `full`, 60 steps (6.0 epochs), seed 0, commit abc",
        f"- fingerprint `{averaged.encoder.fingerprint}`",
        "| train | made | 1.50 | 30 | 4 |",
        "| phone_acc | 0.625 |",
    ):
        assert line in card.splitlines()


def test_the_mean_with_what_a_run_started_from(tmp_path: Path) -> None:
    first, recipe = SpanModel(TINY).encoder, Still()
    save_encoder(first, tmp_path / "first.safetensors", {})
    recipe.start_from(load_encoder(tmp_path / "first.safetensors"))
    run = tmp_path / "run"
    fit(recipe, run, LoopSettings(steps=60, evaluate_every=50, bf16=False), lambda line: None)
    (run / "run.json").write_text(json.dumps(ABOUT))
    export(run, tmp_path / "last.safetensors")
    export(run, tmp_path / "mean.safetensors", mean_with=tmp_path / "first.safetensors")
    before, last, mean = (load_encoder(tmp_path / f"{name}.safetensors") for name in ("first", "last", "mean"))
    for name, weights in mean.state_dict().items():
        halfway = (before.state_dict()[name] + last.state_dict()[name]) / 2
        torch.testing.assert_close(weights, halfway, rtol=2e-3, atol=1e-4)  # stored as float16
    assert last.fingerprint != before.fingerprint
    card = (tmp_path / "mean.md").read_text()
    assert f"from encoder `{before.fingerprint}` on, and the mean of both" in card
    assert "## Figures on dev of the run, before the mean was taken\n" in card
    assert "## Figures on dev\n" in (tmp_path / "last.md").read_text()


def test_a_mean_with_another_encoder_is_refused(trained: tuple[Path, SpanModel], tmp_path: Path) -> None:
    save_encoder(trained[1].encoder, tmp_path / "other.safetensors", {})
    with pytest.raises(StdSearchError, match=r"other.safetensors: is not the encoder that .*run started from"):
        export(trained[0], tmp_path / "mean.safetensors", mean_with=tmp_path / "other.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_a_running_training_may_be_exported(trained: tuple[Path, SpanModel], tmp_path: Path) -> None:
    """Then the figures are those of the last evaluation, which may lie behind."""
    run, _ = trained
    with open(run / "log.jsonl", "a") as log:
        log.write('{"step": 100, "loss": 0.5}\n')
    assert export(run, tmp_path / "tiny.safetensors")["step"] == 60


def test_data_is_described_by_split_and_corpus(manifest: Path) -> None:
    assert describe_data(read_manifest(manifest)) == [
        {"split": "dev", "corpus": "made", "hours": 0.001, "utterances": 2, "speakers": 1},
        {"split": "train", "corpus": "made", "hours": 0.004, "utterances": 6, "speakers": 3},
    ]


def test_there_may_be_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert commit() == ""


@pytest.mark.parametrize("end", ['{"step": 25, "sec', "\0\0\0\n"])
def test_a_log_whose_end_was_lost_is_read_as_far_as_it_goes(
    trained: tuple[Path, SpanModel], tmp_path: Path, end: str
) -> None:
    run, _ = trained
    figures = export(run, tmp_path / "whole.safetensors")
    with (run / "log.jsonl").open("a") as log:
        log.write(end)
    assert export(run, tmp_path / "tiny.safetensors") == figures


def test_a_model_can_be_read_by_whom_files_can(trained: tuple[Path, SpanModel], tmp_path: Path) -> None:
    export(trained[0], tmp_path / "tiny.safetensors")
    (tmp_path / "file").touch()
    assert (tmp_path / "tiny.safetensors").stat().st_mode == (tmp_path / "file").stat().st_mode
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *product(["checkpoint.pt", "run.json"], [None, b"nothing of the kind", b"PK\x03\x04"]),
        ("log.jsonl", None),
    ],
)
def test_a_run_that_is_none_is_told(
    trained: tuple[Path, SpanModel], tmp_path: Path, file: str, content: bytes | None
) -> None:
    run, _ = trained
    (run / file).unlink() if content is None else (run / file).write_bytes(content)
    with pytest.raises(StdSearchError, match="holds no run that can be exported") as told:
        export(run, tmp_path / "tiny.safetensors")
    assert str(told.value).startswith(str(run))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "tiny.safetensors").exists()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(train, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["export", "nowhere", "model.safetensors"], "nowhere: holds no run"),
        (["export", "run", "nowhere/model.safetensors"], "nowhere is no folder; make it first"),
        (["calibrate", "nowhere", "task", "--out", "m.safetensors", "--threads", "1"], "nowhere"),
        (
            ["calibrate", "archive", "task", "--out", "nowhere/m.safetensors", "--threads", "1"],
            "nowhere is no folder",
        ),
        (
            ["calibrate", "archive", "task", "--out", "m.safetensors", "--threads", "1"],
            "task/kwlist.xml: cannot be read",
        ),
    ],
)
def test_bad_input_is_told_in_a_line(
    trained: tuple[Path, SpanModel],
    archive_folder: Path,
    tmp_path: Path,
    command: Callable[..., Result],
    arguments: list[str],
    complaint: str,
) -> None:
    (tmp_path / "archive").symlink_to(archive_folder / "archive")
    result = command(*arguments)
    assert isinstance(result.exception, StdSearchError)
    assert complaint in str(result.exception)
    assert "\n" not in str(result.exception)
