"""What every benchmark writes down beside its figures: command, commit, machine, threads, versions."""

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = ("torch", "numpy", "numba", "faiss-cpu")


def write_result(name: str, figures: Mapping[str, Any], *, threads: int, runs: int = 1) -> Path:
    """Write results/NAME.json and return its path; figures hold their own spread where runs > 1."""
    about = {
        "command": shlex.join(["python", *map(_plain, sys.argv)]),
        "commit": _git("describe", "--always", "--dirty", "--abbrev=12"),
        "machine": _processor(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "threads": threads,
        "runs": runs,
    }
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**about, **figures}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _plain(argument: str) -> str:
    """An argument without the folders of this machine."""
    path = Path(argument)
    return str(Path(*path.parts[-2:])) if path.is_absolute() else argument


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} × {models[0]}" if models else platform.processor()
