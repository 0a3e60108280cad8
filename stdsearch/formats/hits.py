"""Hits in every format that people use them in: one table of formats, read and written by name.

NIST's formats name a recording by its file id, the base name without extension. Labels, annotation tiers and
subtitles belong to one recording: hits in several go to a directory, a file a recording.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO, TypedDict, Unpack

from stdsearch.errors import StdSearchError
from stdsearch.formats import labels, subtitles, tables, tiers, timemarks
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList, format_kwslist, read_kwslist
from stdsearch.formats.source import open_output
from stdsearch.formats.tables import NO_FACTS, Facts
from stdsearch.types import TermHits

Results = Sequence[TermHits]


class Header(TypedDict, total=False):
    """What a KWSList says of itself beside its hits; no other format holds it."""

    kwlist_filename: str
    language: str
    system_id: str
    min_score: float | None
    max_score: float | None


@dataclass(frozen=True, slots=True)
class Format:
    """How hits are written and read; read is None where too much is lost on the way out.

    The reader takes the path and, for a format whose files do not name their recording, the recording.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Results, TextIO, Header, Facts], None]
    read: Callable[[str | Path, str | None], tuple[list[TermHits], Header]] | None = None
    file_ids: bool = False  # recordings are named by their file id
    one_recording: bool = False  # a file belongs to one recording


def _write(write: Callable[[Results, TextIO], None]) -> Callable[[Results, TextIO, Header, Facts], None]:
    return lambda results, stream, _header, _facts: write(results, stream)


def _write_with_facts(
    write: Callable[[Results, TextIO, Facts], None],
) -> Callable[[Results, TextIO, Header, Facts], None]:
    return lambda results, stream, _header, facts: write(results, stream, facts)


def _read(read: Callable[[str | Path], list[TermHits]]) -> Callable[..., tuple[list[TermHits], Header]]:
    return lambda path, _recording: (read(path), Header())


def _write_kwslist(results: Results, stream: TextIO, header: Header, _facts: Facts, *, std2006: bool = False) -> None:
    detected = (DetectedTerm(r.kwid, r.search_seconds, None, Hits.from_hits(r.hits)) for r in results)
    stream.writelines(format_kwslist(KWSList(tuple(detected), **header), std2006=std2006))


def _write_stdlist(results: Results, stream: TextIO, header: Header, facts: Facts) -> None:
    _write_kwslist(results, stream, header, facts, std2006=True)


def _read_kwslist(path: str | Path, _recording: str | None) -> tuple[list[TermHits], Header]:
    kwslist = read_kwslist(path)
    results = [
        TermHits(term.kwid, "", tables.best_first(term.hits.to_hits()), term.search_time) for term in kwslist.detected
    ]
    return results, Header(
        kwlist_filename=kwslist.kwlist_filename,
        language=kwslist.language,
        system_id=kwslist.system_id,
        min_score=kwslist.min_score,
        max_score=kwslist.max_score,
    )


def _read_audacity(path: str | Path, recording: str | None) -> tuple[list[TermHits], Header]:
    if recording is None:
        raise StdSearchError(f"{path}: labels do not name their recording; name it (--recording)")
    return labels.read_audacity(path, recording), Header()


FORMATS = {
    "kwslist": Format((".xml",), _write_kwslist, _read_kwslist, file_ids=True),
    "stdlist": Format((), _write_stdlist, _read_kwslist, file_ids=True),
    "csv": Format((".csv",), _write_with_facts(tables.write_csv), _read(tables.read_csv)),
    "json": Format((".json",), _write_with_facts(tables.write_json), _read(tables.read_json)),
    "jsonl": Format((".jsonl", ".ndjson"), _write(tables.write_jsonl), _read(tables.read_jsonl)),
    "parquet": Format((".parquet",), _write(tables.write_parquet), _read(tables.read_parquet)),
    "rttm": Format((".rttm",), _write(timemarks.write_rttm_hits), file_ids=True),
    "ctm": Format((".ctm",), _write(timemarks.write_ctm), file_ids=True),
    "audacity": Format((".txt",), _write(labels.write_audacity), _read_audacity, one_recording=True),
    "textgrid": Format((".TextGrid",), _write(tiers.write_textgrid), one_recording=True),
    "eaf": Format((".eaf",), _write(tiers.write_eaf), one_recording=True),
    "srt": Format((".srt",), _write(subtitles.write_srt), one_recording=True),
    "vtt": Format((".vtt",), _write(subtitles.write_vtt), one_recording=True),
}


def guess_format(path: str | Path) -> str:
    """The format that the file's name tells by its extension; .gz behind it says nothing.

    >>> guess_format("hits.xml.gz"), guess_format("talk.textgrid")
    ('kwslist', 'textgrid')
    """
    suffix = os.path.splitext(str(path).removesuffix(".gz"))[1].lower()
    for name, entry in FORMATS.items():
        if suffix in map(str.lower, entry.suffixes):
            return name
    raise StdSearchError(f"{path}: the name does not tell the format; name one of {', '.join(FORMATS)}")


def read_hits(path: str | Path, format: str, *, recording: str | None = None) -> tuple[list[TermHits], Header]:
    """The file's terms, each with its best hits first, and what a KWSList says of itself (else nothing).

    A KWSList has no term texts. recording names the recording of a file that does not itself. Raises StdSearchError if
    the file is unreadable, malformed, or of a format that is written only.
    """
    entry = FORMATS[format]
    if entry.read is None:
        readable = ", ".join(name for name, other in FORMATS.items() if other.read)
        raise StdSearchError(f"{path}: {format} is written, not read; hits are read from {readable}")
    return entry.read(path, recording)


def write_hits(
    results: Results,
    target: str | Path | TextIO,
    format: str,
    *,
    have_file_ids: bool = False,
    facts: Facts = NO_FACTS,
    **header: Unpack[Header],
) -> None:
    """Write the hits to a file, directory or stream, in one of FORMATS; a KWSList has a header, csv and json facts.

    A format that holds one recording writes a file for each into target if that is a directory, or is named like one
    (by a slash at its end; it is then made). have_file_ids says that the recordings are named by file ids already, as
    they are if they come from NIST's formats. Raises StdSearchError if the target cannot be written, two recordings
    share a file id where it must tell them apart, or one file would have to hold several recordings.
    """
    entry = FORMATS[format]
    recordings = sorted({hit.recording for result in results for hit in result.hits})
    ids = {name: name if have_file_ids else file_id(name) for name in recordings}
    to_directory = entry.one_recording and isinstance(target, str | Path) and _is_directory(target)
    if entry.file_ids:
        check_file_ids(ids)
    stems = {name: os.path.basename(name) for name in ids.values()}
    if to_directory:
        check_file_ids({name: stems[shared] for name, shared in ids.items()})
    if entry.file_ids:
        results = [
            replace(result, hits=tuple(replace(hit, recording=ids[hit.recording]) for hit in result.hits))
            for result in results
        ]
    if entry.one_recording and len(recordings) > 1 and not to_directory:
        raise StdSearchError(
            f"the hits lie in {len(recordings)} recordings and a {format} file holds one;"
            " name a directory (with / at its end) or choose a recording"
        )
    if not isinstance(target, str | Path):
        try:
            entry.write(results, target, header, facts)
        except UnicodeEncodeError as error:
            raise StdSearchError("hits cannot be written, a name or term is not valid Unicode text") from error
    elif to_directory:
        _make_directory(target)
        for name in recordings:
            with open_output(Path(target) / (stems[ids[name]] + entry.suffixes[0])) as stream:
                entry.write(select(results, recording=name), stream, header, facts)
    else:
        with open_output(target) as stream:
            entry.write(results, stream, header, facts)


def select(
    results: Results, *, recording: str | None = None, min_score: float | None = None, accepted: bool = False
) -> list[TermHits]:
    """The same terms with those hits only that lie in the recording, score at least that, and were decided yes."""
    return [
        replace(
            result,
            hits=tuple(
                hit
                for hit in result.hits
                if (recording is None or hit.recording == recording)
                and (min_score is None or hit.score >= min_score)
                and (hit.decision or not accepted)
            ),
        )
        for result in results
    ]


def file_id(recording: str) -> str:
    """NIST's name of a recording: its base name without the last extension.

    >>> file_id("audio/eval03/talk.part1.sph")
    'talk.part1'
    """
    return os.path.splitext(os.path.basename(recording))[0]


def check_file_ids(ids: Mapping[str, str]) -> None:
    """Raise StdSearchError if two recordings, by whose names are their file ids, share one."""
    owners: dict[str, str] = {}
    for name, shared in ids.items():
        if owners.setdefault(shared, name) != name:
            raise StdSearchError(
                f"{owners[shared]!r} and {name!r}: both have the file id {shared!r}; rename one, or write csv or json"
            )


def _is_directory(target: str | Path) -> bool:
    return os.path.isdir(target) or str(target).endswith(os.sep)


def _make_directory(target: str | Path) -> None:
    try:
        os.makedirs(target, exist_ok=True)
    except OSError as error:
        raise StdSearchError(f"{target}: cannot be made ({error.strerror})") from error
