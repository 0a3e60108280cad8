"""What every benchmark writes down beside its figures: command, commit, machine, threads, versions, and the system."""

import argparse
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stdsearch.encoder import Encoder

HERE = Path(__file__).parent
PACKAGES = ("torch", "numpy", "numba", "faiss-cpu")
SHIPPED = ("span, as shipped", "speech train, 9.3 h, and synthetic, 3.9 h")  # see stdsearch/models/base.md


def write_result(name: str, figures: Mapping[str, Any], *, threads: int, runs: int = 1) -> Path:
    """Write results/NAME.json and return its path; figures hold their own spread where runs > 1."""
    about = {
        "command": shlex.join(["python", *map(_plain, sys.argv)]),
        "commit": COMMIT,
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


def measured(command: Sequence[str]) -> dict[str, float]:
    """What a command takes: seconds on the wall and of CPU, and at most MiB of memory: all, and what is its own.

    Its own is what is no page of a mapped file, which the system takes back when it needs it; looked at fifty times a
    second, and 0 where there is no /proc. The command must succeed. A small process in between starts it, for what it
    takes counts from its parent.
    """
    began = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", _BETWEEN, *command], check=True, stdout=subprocess.PIPE, text=True)
    cpu, peak, own = map(float, told.stdout.split())
    return {"seconds": time.perf_counter() - began, "cpu_seconds": cpu, "peak_mib": peak, "own_mib": own}


_BETWEEN = """
import resource, subprocess, sys
from contextlib import suppress
process, own = subprocess.Popen(sys.argv[1:], stdout=sys.stderr), 0
while process.poll() is None:
    with suppress(OSError), open(f"/proc/{process.pid}/status") as status:
        own = max([own, *(int(line.split()[1]) for line in status if line.startswith("RssAnon"))])
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.02)
facts = resource.getrusage(resource.RUSAGE_CHILDREN)
print(facts.ru_utime + facts.ru_stime, facts.ru_maxrss / 1024, own / 1024)
sys.exit(process.returncode)
"""


def rounded(value: float | None) -> float | None:
    """A figure to 4 decimals; None, as what is undefined, stays."""
    return None if value is None else round(value, 4)


def add_system(parser: argparse.ArgumentParser) -> None:
    """Options of a benchmark of encoders: the result's name, and which encoder, trained on what."""
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--encoder", type=Path, help="default: the one that ships")
    parser.add_argument("--system", help="what the tables call it")
    parser.add_argument("--trained-on", help="data and hours, for the tables")
    parser.add_argument("--cut", action="store_true", help="encode each clip cut out, not in its utterance")
    parser.add_argument("--threads", type=int, default=1)


def load_system(arguments: argparse.Namespace) -> tuple["Encoder", dict[str, Any]]:
    """The encoder that the options of add_system name, and what a result says of it."""
    from stdsearch.encoder import load_encoder
    from stdsearch.threads import set_threads

    set_threads(arguments.threads)
    encoder = load_encoder(arguments.encoder)
    system, trained_on = (arguments.encoder.stem, "not stated") if arguments.encoder else SHIPPED
    about: dict[str, Any] = {"system": arguments.system or system, "trained_on": arguments.trained_on or trained_on}
    about["cut"] = arguments.cut
    return encoder, {"encoder": encoder.fingerprint[:16], **about}


def _plain(argument: str) -> str:
    """An argument without the folders of this machine."""
    path = Path(argument)
    return str(Path(*path.parts[-2:])) if path.is_absolute() else argument


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


COMMIT = _git("describe", "--always", "--dirty", "--abbrev=12")  # before a result is written, which is a change, too


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} × {models[0]}" if models else platform.processor()
