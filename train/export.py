"""A finished or running training turned into a model file with its card."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stdsearch.encoder import Encoder, load_encoder, save_encoder
from stdsearch.encoder.storage import build_encoder
from stdsearch.errors import StdSearchError
from stdsearch.verifier import Verifier, VerifierSettings, save_verifier
from train import checkpoint
from train.manifest import Utterance


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


def export(run: Path, model: Path, *, mean_with: Path | None = None) -> dict[str, Any]:
    """Write the averaged model of a run, an encoder or a verifier, to `model`, and its card beside it as .md.

    mean_with, the encoder that the run started from: then the weights are the mean of both, which keeps what was known
    before where training on other speech would lose it (WiSE-FT, arXiv 2109.01903, alpha 0.5).
    Returns the run's last figures on dev. Of a run with patience it is the best model, else the latest. Raises
    StdSearchError if the run holds no checkpoint that can be read, or did not start from that encoder.
    """
    best = run / "best.pt"
    try:
        state = checkpoint.read(best if best.exists() else run / "checkpoint.pt")
        about = json.loads((run / "run.json").read_text(encoding="utf-8"))
        lines = checkpoint.read_log(run / "log.jsonl")
        identity = json.loads(state["identity"])
    except (OSError, ValueError, KeyError, StdSearchError) as error:
        raise StdSearchError(f"{run}: holds no run that can be exported ({error}); train first") from error
    settings = identity["settings"]
    product: Encoder | Verifier
    if identity["product"] == "verifier":
        product = Verifier(VerifierSettings(**settings["verifier"]), identity["encoder"])
    else:
        product = build_encoder(identity["kind"], settings["encoder"])
    prefix = f"module.{identity['product']}."
    product.load_state_dict({k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)})
    if mean_with is not None:
        start = load_encoder(mean_with)
        if identity.get("start") != start.fingerprint or not isinstance(product, Encoder):
            raise StdSearchError(f"{mean_with}: is not the encoder that {run} started from; name that one")
        for mine, before in zip(product.state_dict().values(), start.state_dict().values(), strict=True):
            mine.lerp_(before, 0.5)
    measured = [line for line in lines if line["step"] <= state["step"] and any(k.startswith("dev_") for k in line)]
    figures = {k: v for k, v in measured[-1].items() if k.startswith("dev_") or k == "step"} if measured else {}
    provenance = {"recipe": about["recipe"], "variant": about["variant"], "steps": str(state["step"])}
    provenance["commit"] = about["commit"]
    if isinstance(product, Verifier):
        save_verifier(product, model, provenance)
    else:
        save_encoder(product, model, provenance)
    card = model_card(model.stem, about, identity, state["step"], figures, product, is_mean=mean_with is not None)
    model.with_suffix(".md").write_text(card, encoding="utf-8")
    return figures


def model_card(
    name: str,
    about: dict[str, Any],
    identity: dict[str, Any],
    step: int,
    figures: dict[str, Any],
    product: Encoder | Verifier,
    *,
    is_mean: bool,
) -> str:
    """The card in Markdown: what it is, what it learnt from and how, what it reached; licences are for the author."""
    n_parameters = sum(parameter.numel() for parameter in product.parameters())
    if isinstance(product, Verifier):
        title = f"Verifier of stdsearch, for the frames of encoder `{product.encoder_fingerprint}`."
    else:
        title = f"Encoder of stdsearch, of kind `{product.kind}`: sound and pronunciations embedded in one space."
    data = "\n".join(
        f"| {part['split']} | {part['corpus']} | {part['hours']:.2f} | {part['utterances']} | {part['speakers']} |"
        for part in about["data"]
    )
    reached = "\n".join(f"| {key.removeprefix('dev_')} | {value} |" for key, value in figures.items() if "dev_" in key)
    settings = json.dumps(asdict(product.settings))  # type: ignore[call-overload]
    fingerprint = "" if isinstance(product, Verifier) else f"\n- fingerprint `{product.fingerprint}`"
    recipe = f"recipe `{about['recipe']}`, variant `{about['variant']}`" + (", small" if about["small"] else "")
    length = f"{step} steps ({step / about['steps_per_epoch']:.1f} epochs)"
    if "start" in identity:
        length += f" from encoder `{identity['start']}` on" + (", and the mean of both" if is_mean else "")
    measured = "on dev of the run, before the mean was taken" if is_mean else "on dev"
    return f"""# {name}

{title}
{n_parameters / 1e6:.1f} million parameters, stored as float16.

- {recipe}, {length}, seed {identity["loop"]["seed"]}, commit {about["commit"] or "unknown"}
- settings `{settings}`{fingerprint}

## Data

| split | corpus | hours | utterances | speakers |
|---|---|---|---|---|
{data}

## Figures {measured}

| figure | value |
|---|---|
{reached}
"""
