"""A finished or running training turned into an encoder file with its model card."""

import json
import pickle
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stdsearch.encoder import SpanEncoder, save_encoder
from stdsearch.encoder.storage import settings_from
from stdsearch.errors import StdSearchError
from train.manifest import Utterance

AVERAGE = "module.encoder."  # where the averaged encoder's weights lie in a checkpoint


def describe_data(utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    """Hours, utterances and speakers of each corpus and split, for run.json and the model card."""
    parts: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if utterance.words:
            parts[utterance.split, utterance.corpus].append(utterance)
    return [
        {
            "split": split,
            "corpus": corpus,
            "hours": round(sum(u.dur for u in part) / 3600, 3),
            "utterances": len(part),
            "speakers": len({u.speaker for u in part}),
        }
        for (split, corpus), part in sorted(parts.items())
    ]


def commit() -> str:
    """The commit that the code is at, "-dirty" where it was changed since, or "" outside a checkout."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()


def export(run: Path, model: Path) -> dict[str, Any]:
    """Write the averaged encoder of a run to `model`, its card beside it as .md; returns the last figures on dev.

    Raises StdSearchError if the run holds no checkpoint that can be read.
    """
    try:
        state = torch.load(run / "checkpoint.pt", weights_only=True)
        about = json.loads((run / "run.json").read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        identity = json.loads(state["identity"])
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise StdSearchError(f"{run}: holds no run that can be exported ({reason}); train first") from error
    encoder = SpanEncoder(settings_from(identity["settings"]["encoder"]))
    weights = {k.removeprefix(AVERAGE): v for k, v in state["average"].items() if k.startswith(AVERAGE)}
    encoder.load_state_dict(weights)
    figures: dict[str, Any] = next((line for line in reversed(lines) if "dev_phone_acc" in line), {})
    provenance = {"recipe": identity["recipe"], "steps": str(state["step"]), "commit": about["commit"]}
    save_encoder(encoder, model, provenance)
    card = model_card(model.stem, about, identity, state["step"], figures, encoder)
    model.with_suffix(".md").write_text(card, encoding="utf-8")
    return figures


def model_card(
    name: str, about: dict[str, Any], identity: dict[str, Any], step: int, figures: dict[str, Any], encoder: SpanEncoder
) -> str:
    """The card in Markdown: what it is, what it learnt from and how, what it reached; licences are for the author."""
    n_parameters = sum(parameter.numel() for parameter in encoder.parameters())
    data = "\n".join(
        f"| {part['split']} | {part['corpus']} | {part['hours']:.2f} | {part['utterances']} | {part['speakers']} |"
        for part in about["data"]
    )
    reached = "\n".join(f"| {key.removeprefix('dev_')} | {value} |" for key, value in figures.items() if "dev_" in key)
    settings = json.dumps(asdict(encoder.settings))
    return f"""# {name}

Encoder of stdsearch: log-mel → frames of {1000 * encoder.settings.frame_seconds:.0f} ms → embeddings of spans, and
pronunciations in the same space. {n_parameters / 1e6:.1f} million parameters, stored as float16.

- recipe `{identity["recipe"]}`, {step} steps, seed {identity["loop"]["seed"]}, commit {about["commit"] or "unknown"}
- encoder settings `{settings}`
- fingerprint `{encoder.fingerprint}`

## Data

| split | corpus | hours | utterances | speakers |
|---|---|---|---|---|
{data}

## Figures on dev

| figure | value |
|---|---|
{reached}
"""
