"""Spoken examples of terms, as a table: tab-separated columns kwid, audio, tbeg, dur, named in the first line.

Rows with one kwid are examples of one term. Times are in seconds. A column channel says where in a recording of several
the term is said; without it, or where it is empty, that is the loudest. Other columns are passed over.
"""

import csv
from pathlib import Path

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_lines
from stdsearch.formats.values import BadValueError, finite, named, whole
from stdsearch.types import Spoken


def read_examples(path: Path) -> dict[str, tuple[Spoken, ...]]:
    """The examples of each kwid. A relative audio path is sought in the table's folder, then in those above it.

    Raises StdSearchError if the file is unreadable, lacks a column, holds no example or names audio that is not there.
    """
    spoken: dict[str, list[Spoken]] = {}
    try:
        with open_lines(path) as lines:
            rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            for row in rows:
                place = f"{path}:{rows.line_num}"
                try:
                    kwid, audio = named("kwid", row["kwid"] or ""), Path(row["audio"])
                    tbeg, dur = (finite(name, row[name]) for name in ("tbeg", "dur"))
                    channel = whole("channel", row["channel"]) if row.get("channel") else None
                except BadValueError as error:
                    raise StdSearchError(f"{place}: {error}") from None
                except (KeyError, TypeError):
                    raise StdSearchError(
                        f"{place}: wants kwid, audio, tbeg and dur in columns parted by tabs, named in the first line"
                    ) from None
                if not (tbeg >= 0 and dur > 0):
                    raise StdSearchError(f"{place}: tbeg {tbeg} and dur {dur} are no span; times are in seconds")
                folders = [folder for folder in Path(path).resolve().parents if (folder / audio).exists()]
                if not folders:
                    raise StdSearchError(f"{place}: {audio} is neither beside the table nor below a folder above it")
                spoken.setdefault(kwid, []).append(Spoken(folders[0] / audio, tbeg, tbeg + dur, channel))
    except csv.Error as error:
        raise StdSearchError(f"{path}: is no table ({error}); give tab-separated columns") from None
    if not spoken:
        raise StdSearchError(f"{path}: holds no example; it wants the columns kwid, audio, tbeg and dur")
    return {kwid: tuple(examples) for kwid, examples in spoken.items()}
