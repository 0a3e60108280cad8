"""The import rules of docs/design.md, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stdsearch", "indexer", "train")
TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_bytes())
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
LAYERS = (  # of stdsearch: a module imports from its own layer and from those above it in this list
    {"errors", "stages", "types"},
    {"formats", "metrics"},
    {"activity", "audio", "features", "mel_settings", "phones", "pronounce", "slicing", "threads", "vector_settings"},
    {"align", "archive", "encoder", "inverted_lists", "kernels", "model_file", "networks", "vectors", "verifier"},
    {"calibrate", "enrol", "rescore"},
    {"search", "spotter"},
    {"cli", "__main__"},
)
HEAVY = {"duckdb", "faiss", "numba", "torch"}


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """The modules that a module imports, and whether that waits: for a function to run, or for a type checker."""
    late = [
        node
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    ]
    inside = {node for parent in late for node in ast.walk(parent)}
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from ((module if module in TREES else str(node.module), node in inside) for module in modules)


IMPORTS = [(name, module, lazy) for name in TREES for module, lazy in imports(name)]


def layer(name: str) -> int:
    """Where a module of stdsearch stands; the package itself holds only the names of its API."""
    return next((i for i, rooms in enumerate(LAYERS) if name.split(".")[1] in rooms), -1) if "." in name else 0


def test_imports_are_absolute() -> None:
    relative = [node for tree in TREES.values() for node in ast.walk(tree) if getattr(node, "level", 0)]
    assert not relative


def test_packages_keep_apart() -> None:
    closed = {*PACKAGES, "tests", "benchmarks"} - {"stdsearch"}
    strangers = [(name, module) for name, module, _ in IMPORTS if module.split(".")[0] in closed - {name.split(".")[0]}]
    assert not strangers


def test_every_module_of_the_engine_has_a_layer() -> None:
    homeless = [name for name in TREES if name.startswith("stdsearch.") and layer(name) < 0]
    assert not homeless, "give them a place in LAYERS, and in docs/design.md"


def test_layers_import_only_downwards() -> None:
    inner = [(name, module) for name, module, _ in IMPORTS if name.startswith("stdsearch.") and module in TREES]
    upwards = [(name, module) for name, module in inner if layer(module) > layer(name)]
    assert not upwards


def test_no_import_circles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in TREES}
    for name, module, _ in IMPORTS:
        if "stdsearch" not in (name, module) and module in TREES:  # stdsearch imports Archive only when asked for it
            graph[name].add(module)
    TopologicalSorter(graph).prepare()  # its CycleError names the circle


def test_formats_and_metrics_need_only_numpy_and_scipy() -> None:
    light = {"numpy", "scipy", "stdsearch", *sys.stdlib_module_names}
    drawn = {"matplotlib", "pyarrow"}
    heavy = [
        (name, module)
        for name, module, lazy in IMPORTS
        if name.startswith(("stdsearch.formats", "stdsearch.metrics"))
        and module.split(".")[0] not in light | (drawn if lazy else set())
    ]
    assert not heavy


def test_only_cli_modules_speak() -> None:
    quiet = {name for name in TREES if "cli" not in name.split(".")}
    speaking = [
        (name, module) for name, module, _ in IMPORTS if name in quiet and module.split(".")[0] in {"click", "rich"}
    ]
    prints = [
        name
        for name in quiet
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not speaking + prints


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"]])
def test_help_starts_without_heavy_libraries(arguments: list[str]) -> None:
    program = f"""
import sys
from stdsearch.cli import main
sys.argv = ["stdsearch", *{arguments}]
try:
    main()
finally:
    print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")
