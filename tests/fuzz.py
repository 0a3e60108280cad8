"""Archives and models of strangers: spoilt at random, opened, searched and verified.

    python -m tests.fuzz FOLDER --inputs 1000 --seed 0

FOLDER holds what tests/test_fuzz.py puts there. Each input is an archive, or a verifier, of which one part was altered:
bytes, or what the bytes mean, written as its own library writes it. archive.json is made to agree, sizes, checksums
and fingerprint, as a stranger would. Whatever comes of it, a StdSearchError must say so, or the answer is right.
A library that crashes takes this process with it, whose exit tests/test_fuzz.py sees; FOLDER/input tells the input.
"""

import argparse
import faulthandler
import json
import os
import resource
import shutil
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from stdsearch.archive.check import check_archive, open_unchecked
from stdsearch.archive.manifest import FILE_NAME, load_manifest
from stdsearch.archive.parts import seal
from stdsearch.archive.sql import select
from stdsearch.encoder import load_encoder
from stdsearch.errors import StdSearchError
from stdsearch.search import Archive
from stdsearch.threads import set_threads
from stdsearch.vectors import FaissIndex
from stdsearch.verifier import load_verifier

SPARE = 3 << 30  # bytes that an input may take beyond what the process has
PATIENCE = 600.0  # seconds for one input, however slow the machine is

Data = st.DataObject
Spoil = Callable[[Path, Data], None]  # alters a file

INTEGERS = [0, 1, -1, 2, 7, 8, 255, 2**15, 2**31 - 1, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1, -(2**63), 2**64]
NUMBERS = [0.0, -0.0, 0.5, -1.5, 1e-300, 1e18, 1e300, -1e300, float("nan"), float("inf"), float("-inf")]
TEXTS = ["", ".", "..", "../x", "/etc/passwd", "a\0b", "\x1b[2J", "x" * 5000, "archive.json", "segments/00000.parquet",
         "encoder.safetensors", "Straße", "\ud800", "0" * 64, "first", "span", "ecapa", "bilstm", "nan"]  # fmt: skip
NESTED = json.loads("[" * 200 + "]" * 200)
PLAIN = st.one_of(
    # copied, for what is drawn may be altered, and the next example is to draw what this one did
    st.sampled_from([*INTEGERS, *NUMBERS, *TEXTS, None, True, False, [], {}, 10**400, NESTED]).map(deepcopy),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-3, 300), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def spoil_bytes(path: Path, data: Data) -> None:
    """Some bytes are others, are missing, or are there twice; or the file ends early."""
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # headers are at the begin, footers at the end
        near = data.draw(st.sampled_from([40, 400, 4000, len(content)]))
        at = data.draw(st.integers(0, min(near, len(content))))
        at = data.draw(st.sampled_from([at, len(content) - at]))
        length = data.draw(st.sampled_from([0, 1, 2, 4, 8, 64]))
        fresh = data.draw(
            st.one_of(
                st.binary(max_size=12),
                st.sampled_from(INTEGERS).map(lambda n: struct.pack("<Q", n % 2**64)),
                st.sampled_from(INTEGERS).map(lambda n: struct.pack("<I", n % 2**32)),
                st.just(bytes(content[at : at + 30])),
            )
        )
        content[at : at + length] = fresh
    if data.draw(st.booleans()) and data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path.write_bytes(content)


def spoil_tree(tree: Any, data: Data) -> Any:
    """A tree of JSON with one node replaced, gone, or put where another is."""
    nodes = list(_nodes(tree, ()))
    way = data.draw(st.sampled_from(nodes))
    act = data.draw(st.sampled_from(["replace", "replace", "remove", "copy", "add"]))
    if not way:
        return data.draw(PLAIN) if act == "replace" else tree
    holder = tree
    for key in way[:-1]:
        holder = holder[key]
    if act == "remove":
        del holder[way[-1]]
    elif act == "copy":
        other: Any = tree
        for key in data.draw(st.sampled_from(nodes)):
            other = other[key]
        holder[way[-1]] = json.loads(json.dumps(other))
    elif act == "add" and isinstance(holder, list):
        holder.append(data.draw(st.one_of(PLAIN, st.sampled_from(list(holder)))))
    elif act == "add":
        holder[data.draw(st.text(max_size=5))] = data.draw(PLAIN)
    else:
        holder[way[-1]] = data.draw(PLAIN)
    return tree


def _nodes(tree: Any, way: tuple[Any, ...]) -> Any:
    yield way
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from _nodes(value, (*way, key))


def spoil_json(path: Path, data: Data) -> None:
    tree = json.loads(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        tree = spoil_tree(tree, data)
    path.write_text(json.dumps(tree))


TYPES = [pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.int64(), pa.float32(), pa.null(),
         pa.list_(pa.int32()), pa.timestamp("ns")]  # fmt: skip


def spoil_table(table: pa.Table, data: Data) -> pa.Table:
    """A table with a column of another type, name or place, with other values, or with other rows."""
    at = data.draw(st.integers(0, table.num_columns - 1))
    name, column = table.column_names[at], table.column(at).combine_chunks()
    act = data.draw(st.sampled_from(["values", "values", "values", "cast", "drop", "rename", "rows", "twice", "nulls"]))
    if act == "drop":
        return table.remove_column(at)
    if act == "rename":
        other = data.draw(st.one_of(st.sampled_from(table.column_names), st.sampled_from(["", "x", 'a"b;', "ROWID"])))
        return table.rename_columns([other if n == at else old for n, old in enumerate(table.column_names)])
    if act == "twice":
        return table.append_column(name, table.column(at))
    if act == "rows":
        rows = data.draw(st.lists(st.integers(0, max(0, table.num_rows - 1)), max_size=6))
        return table.take(pa.array(rows if table.num_rows else [], pa.int64()))
    if act == "cast":
        kind = data.draw(st.sampled_from(TYPES))
        try:
            return table.set_column(at, name, column.cast(kind, safe=False))
        except (pa.ArrowException, pa.ArrowInvalid):
            return table.set_column(at, name, pa.nulls(len(table), kind))
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:  # bytes that were made text before
        return table
    if values:
        row = data.draw(st.integers(0, len(values) - 1))
        values[row] = None if act == "nulls" else data.draw(_value(column.type, values))
        rest = data.draw(st.booleans())
        if rest:
            values = [values[row]] * len(values)
    try:
        return table.set_column(at, table.schema.field(at).with_nullable(True), pa.array(values, column.type))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return table


def _value(kind: pa.DataType, values: list[Any]) -> st.SearchStrategy[Any]:
    """Values that a column's type can hold, the column's own among them."""
    some = st.sampled_from(values)
    if pa.types.is_integer(kind):
        bits = kind.bit_width
        return some | st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) | st.integers(-2, 300)
    if pa.types.is_floating(kind):
        return some | st.sampled_from(NUMBERS) | st.floats(width=32)
    if pa.types.is_string(kind):
        return some | st.sampled_from([text for text in TEXTS if text != "\ud800"])
    if pa.types.is_fixed_size_list(kind):
        return some | st.sampled_from(NUMBERS).map(lambda number: [float(np.float32(number))] * kind.list_size)
    if pa.types.is_fixed_size_binary(kind):
        return some | st.sampled_from([0, 255, 0x7C]).map(lambda byte: bytes([byte]) * kind.byte_width)
    return some | st.binary(max_size=9)


def spoil_parquet(path: Path, data: Data) -> None:
    table = pq.read_table(path)
    for _ in range(data.draw(st.integers(1, 2))):
        table = spoil_table(table, data) if table.num_columns else table
    strict = data.draw(st.booleans())
    schema = pq.read_schema(path)
    if strict and table.schema.names == schema.names:
        with suppress(pa.ArrowException, ValueError):
            table = table.cast(schema)
    group = data.draw(st.sampled_from([None, 1, 3, 1000]))
    pq.write_table(table, path, row_group_size=group, compression=data.draw(st.sampled_from(["zstd", "none"])))


def spoil_arrow(path: Path, data: Data) -> None:
    with pa.ipc.open_file(pa.BufferReader(path.read_bytes())) as file:
        table = file.read_all()
    for _ in range(data.draw(st.integers(1, 2))):
        table = spoil_table(table, data) if table.num_columns else table
    options = pa.ipc.IpcWriteOptions(compression=data.draw(st.sampled_from([None, "zstd", "lz4"])))
    with pa.ipc.new_file(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=data.draw(st.sampled_from([None, 1])))


def spoil_array(path: Path, data: Data) -> None:
    array = np.load(path)
    act = data.draw(st.sampled_from(["value", "value", "kind", "shape", "length", "object", "zip"]))
    if act == "value" and len(array):
        name = data.draw(st.sampled_from(array.dtype.names))
        rows = slice(None) if data.draw(st.booleans()) else data.draw(st.integers(0, len(array) - 1))
        value = data.draw(st.sampled_from(NUMBERS if array.dtype[name].kind == "f" else INTEGERS))
        with np.errstate(all="ignore"):
            array[name][rows] = np.array(value % 2**64 if isinstance(value, int) else value).astype(array.dtype[name])
    elif act == "kind":
        array = array.astype(
            [(name, data.draw(st.sampled_from(["<i8", "<f4", ">i4", "S3"]))) for name in array.dtype.names]
        )
    elif act == "shape":
        array = array.reshape(1, -1)
    elif act == "length":
        array = array[: data.draw(st.integers(0, len(array)))]
    if act == "zip":
        with path.open("wb") as file:
            np.savez(file, array)
    else:
        np.save(path, np.array([{}, None]) if act == "object" else array, allow_pickle=True)


KINDS = [
    *("Flat", "PQ2x4", "SQ8", "HNSW4", "HNSW4,PQ2x4", "LSH", "IVF4,Flat", "IVF4,PQ2x4", "IVF4,PQ2x4fs"),
    *("PCA4,Flat", "OPQ2,IVF4,PQ2x4", "IVF4_HNSW4,Flat", "IDMap,HNSW4", "IDMap2,SQ8", "IDMap2,PQ2x4", "IVF4,RaBitQ"),
]  # as faiss's index_factory calls them; not NSG, which faiss 1.15 never ends to make of some vectors


def spoil_index(path: Path, data: Data) -> None:
    """An index of another kind, of other ids, of other dimensions, or fewer vectors."""
    random = np.random.default_rng(data.draw(st.integers(0, 3)))
    dim = data.draw(st.sampled_from([8, 8, 8, 4, 16]))
    vectors = random.normal(size=(data.draw(st.sampled_from([0, 20, 200])), dim)).astype(np.float32)
    metric = data.draw(st.sampled_from([faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2]))
    try:
        index: Any = faiss.index_factory(dim, data.draw(st.sampled_from(KINDS)), metric)
        training = random.normal(size=(700, dim)).astype(np.float32)
        if data.draw(st.booleans()) or len(vectors):
            index.train(training)
        ids = data.draw(st.sampled_from([0, -5, 10**6, 2**62])) + np.arange(len(vectors))
        try:
            index.add_with_ids(vectors, ids)
        except RuntimeError:
            index.add(vectors)
        if data.draw(st.booleans()):
            FaissIndex(index).save(path)
        else:
            faiss.write_index(index, str(path))
    except (RuntimeError, AssertionError):
        pass
    if data.draw(st.booleans()):
        spoil_bytes(path, data)


def spoil_model(path: Path, data: Data) -> None:
    """Other settings or facts in the header, or other shapes, kinds and places of weights."""
    content = path.read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + n]), content[8 + n :]
    if data.draw(st.booleans()):
        inner = data.draw(
            st.sampled_from([key for key in ("settings", "calibration") if key in header["__metadata__"]])
        )
        tree = spoil_tree(json.loads(header["__metadata__"][inner]), data)
        header["__metadata__"][inner] = json.dumps(tree)
    elif data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(header.keys() - {"__metadata__"})))
        begin, end = header[name]["data_offsets"]
        act = data.draw(st.sampled_from(["kind", "turn", "flat", "values"]))
        if act == "kind":
            header[name]["dtype"] = data.draw(st.sampled_from(["BF16", "I16", "U16", "F32", "BOOL", "F8_E4M3", "C64"]))
        elif act == "turn":
            header[name]["shape"] = header[name]["shape"][::-1]
        elif act == "flat":
            header[name]["shape"] = [(end - begin) // 2]
        else:
            value = np.float16(data.draw(st.sampled_from([float("nan"), float("inf"), 6e4, -6e4, 0.0])))
            body = body[:begin] + value.tobytes() * ((end - begin) // 2) + body[begin + (end - begin) // 2 * 2 :]
    else:
        header = spoil_tree(header, data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def spoil_kind_of_file(path: Path, data: Data) -> None:
    """A part that is no file: missing, a folder, a pipe, a device, a link to itself."""
    path.unlink()
    act = data.draw(st.sampled_from(["missing", "folder", "pipe", "device", "endless", "loop", "sparse"]))
    if act == "folder":
        path.mkdir()
    elif act == "pipe":
        os.mkfifo(path)
    elif act in ("device", "endless"):
        path.symlink_to("/dev/null" if act == "device" else "/dev/zero")
    elif act == "loop":
        path.symlink_to(path.name)
    elif act == "sparse":
        path.touch()
        os.truncate(path, 1 << 26)


MEANT: dict[str, Spoil] = {
    "catalog": spoil_parquet,
    "segments": spoil_parquet,
    "frames": spoil_arrow,
    "blocks": spoil_array,
    "groups": spoil_array,
    "runs": spoil_array,
    "spans": spoil_array,
    "vectors": spoil_index,
    "encoder": spoil_model,
}  # by role


def reseal(archive: Path) -> None:
    """Make archive.json agree with what the parts have become, as far as it is one."""
    path = archive / FILE_NAME
    content = json.loads(path.read_bytes())
    for parts in content["parts"].values():
        for number, part in enumerate(parts):
            if (archive / part["name"]).is_file() and (archive / part["name"]).stat().st_size < 1 << 30:
                parts[number] = asdict(seal(archive, part["name"]))
    with suppress(StdSearchError):
        content["encoder"]["fingerprint"] = load_encoder(archive / "encoder.safetensors").fingerprint
    path.write_text(json.dumps(content))


def use(path: Path, example: Path, look: str = "search") -> None:
    """Verify an archive, open it, search it and look at it in one more way."""
    faults = 1
    try:
        faults = len(check_archive(open_unchecked(path)))
    except StdSearchError as error:
        _told(error)
    try:
        archive = Archive.open(path)
        hits = archive.search("evening").hits
        LOOKS[look](archive, example)
    except StdSearchError as error:
        _told(error)
    else:
        assert faults or np.isfinite([(hit.tbeg, hit.dur, hit.score) for hit in hits]).all(), hits


LOOKS: dict[str, Callable[[Archive, Path], object]] = {
    "search": lambda archive, example: archive.search("evening", examples=[example]),
    "where": lambda archive, example: archive.search("evening", where="year > 1950 AND duration < 100"),
    "sql": lambda archive, example: list(select(archive.reader, "SELECT count(*), min(tbeg) FROM segments").rows),
    "embeddings": lambda archive, example: archive.reader.embeddings(archive.reader.segment_ids[-3:]),
}


def use_verifier(archive: Path, verifier: Path, example: Path) -> None:
    """A search whose last word a verifier has."""
    try:
        Archive.open(archive, verifier=load_verifier(verifier)).search("evening", examples=[example])
    except StdSearchError as error:
        _told(error)


def _told(error: StdSearchError) -> None:
    message = str(error)
    assert len(message.splitlines()) == 1, repr(message)
    assert len(message) < 2000, message


def fuzz(folder: Path, n_inputs: int, number: int) -> None:
    """Make and use so many inputs, archives and now and then a verifier; raises what is no StdSearchError."""
    bases = sorted(path for path in (folder / "archives").iterdir())
    example, verifier, note = folder / "example.wav", folder / "verifier.safetensors", folder / "input"
    archive = folder / "spoilt"
    for base in bases:  # what is sound is sound, and all kernels are compiled
        assert check_archive(open_unchecked(base)) == []
        for look in LOOKS:
            use(base, example, look)
    use_verifier(bases[0], verifier, example)

    @seed(number)
    @settings(max_examples=n_inputs, database=None, deadline=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate], print_blob=False)  # fmt: skip
    @given(st.data())
    def one(data: Data) -> None:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        role = data.draw(st.sampled_from([*MEANT, "manifest", "verifier"]))
        if role == "verifier":
            path = folder / "spoilt.safetensors"
            shutil.copyfile(verifier, path)
            data.draw(st.sampled_from([spoil_bytes, spoil_model]))(path, data)
            note.write_text(role)
            use_verifier(bases[0], path, example)
            return
        base = data.draw(st.sampled_from(bases))
        shutil.rmtree(archive, ignore_errors=True)
        shutil.copytree(base, archive)
        parts = [] if role == "manifest" else load_manifest(base).parts[role]
        name = data.draw(st.sampled_from([part.name for part in parts])) if parts else FILE_NAME
        meant = MEANT.get(role, spoil_json)
        spoil = data.draw(st.sampled_from([meant, meant, spoil_bytes, spoil_kind_of_file]))
        note.write_text(f"{base.name}: {name} by {spoil.__name__}")
        spoil(archive / name, data)
        if parts:
            reseal(archive)
        use(archive, example, data.draw(st.sampled_from(list(LOOKS))))

    one()
    faulthandler.cancel_dump_traceback_later()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    set_threads(1)
    warnings.simplefilter("ignore")
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + SPARE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    fuzz(arguments.folder, arguments.inputs, arguments.seed)


if __name__ == "__main__":
    main()
