"""What a peer finds on a task, before calibration, and where it is kept between runs."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from stdsearch.rescore import Candidates

COLUMNS = tuple(field.name for field in fields(Candidates))


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates of one term and their features, each (n,), by name; recording ids count the task's recordings."""

    kwid: str
    places: Candidates
    features: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found by kind of query, as in `std_task.SYSTEMS`, and the processor seconds that a query took."""

    found: Mapping[str, Sequence[Found]]
    cost: Mapping[str, float]


def digest(*parts: str | bytes | Path) -> str:
    """16 hexadecimal digits that tell these texts, bytes and contents of files from others."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "little") + content)
    return whole.hexdigest()[:16]


def kept(path: Path, make: Callable[[], Findings]) -> Findings:
    """The findings in a file, made and written if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new.npz")
        _write(make(), new)
        new.replace(path)
    return _read(path)


def _write(findings: Findings, path: Path) -> None:
    arrays = {"cost": np.array(json.dumps(dict(findings.cost)))}
    for kind, found in findings.found.items():
        arrays[f"{kind}/kwid"] = np.array([term.kwid for term in found])
        arrays[f"{kind}/n"] = np.array([len(term.places) for term in found])
        for name in COLUMNS:
            arrays[f"{kind}/place/{name}"] = np.concatenate([getattr(term.places, name) for term in found])
        for name in found[0].features:
            arrays[f"{kind}/feature/{name}"] = np.concatenate([term.features[name] for term in found])
    np.savez_compressed(path, **arrays)


def _read(path: Path) -> Findings:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    cost = json.loads(str(arrays.pop("cost")))
    found = {}
    for kind in dict.fromkeys(name.partition("/")[0] for name in arrays):
        borders = np.cumsum(arrays[f"{kind}/n"])[:-1]
        parts = {name: np.split(values, borders) for name, values in arrays.items() if name.startswith(f"{kind}/")}
        places, features = f"{kind}/place/", f"{kind}/feature/"
        found[kind] = [
            Found(
                str(kwid),
                Candidates(*(parts[places + name][i] for name in COLUMNS)),
                {name.removeprefix(features): parts[name][i] for name in parts if name.startswith(features)},
            )
            for i, kwid in enumerate(arrays[f"{kind}/kwid"])
        ]
    return Findings(found, cost)
