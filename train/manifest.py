"""The manifest of prepared speech: utterances with the times of their words and phones, as JSON lines.

A line is {"utterance", "split", "corpus", "speaker", "audio", "channel", "tbeg", "dur", "text", "words", "attributes"},
words being [[word, tbeg, tend, [[phone, tbeg, tend], ...]], ...]. All times are in seconds; those of words and phones
count from the utterance's start, which lies `tbeg` into the audio. Phones are ARPAbet without stress; silence is what
lies between. `audio` is absolute or relative to the manifest's folder. Manifests in one folder may be concatenated.
"""

import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stdsearch.errors import StdSearchError
from stdsearch.phones import PHONES

_PHONE = {phone: phone for phone in PHONES}  # one string object for all spans of a phone
SLACK_SECONDS = 0.1  # that words may end after what there is of their audio
_OPTIONAL = {"corpus": "", "channel": 1, "attributes": {}}


@dataclass(frozen=True, slots=True)
class PhoneSpan:
    """A phone and where it is said."""

    phone: str
    tbeg: float
    tend: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word, where it is said, and its phones."""

    text: str
    tbeg: float
    tend: float
    phones: tuple[PhoneSpan, ...]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of a recording with its transcript and the times of its words."""

    utterance: str
    split: str
    corpus: str
    speaker: str
    audio: Path
    channel: int
    tbeg: float
    dur: float
    text: str
    words: tuple[Word, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


class _Spoken(Protocol):
    """An utterance, prepared or not."""

    @property
    def speaker(self) -> str: ...

    @property
    def split(self) -> str: ...


def read_manifest(path: Path) -> list[Utterance]:
    """The utterances of a manifest, in its order. Raises StdSearchError at the first line that is not sound."""
    utterances: dict[str, Utterance] = {}
    for place, record in _records(path):
        utterance = _utterance(record, place)
        if utterance.utterance in utterances:
            raise StdSearchError(f"{place}: utterance {utterance.utterance} is there twice; leave one out")
        utterances[utterance.utterance] = utterance
    if not utterances:
        raise StdSearchError(f"{path}: holds no utterance; make it with `stdsearch train prepare`")
    return list(utterances.values())


def file_state(path: Path) -> tuple[object, ...]:
    """Where a file is, its bytes, and when it was last changed: whether what was made of it still holds."""
    try:
        facts = path.stat()
    except OSError:  # reading it will say so
        return ()
    return os.path.abspath(path), facts.st_size, facts.st_mtime_ns


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest; it appears whole or not at all."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="\n", delete=False
    ) as file:
        try:
            for utterance in utterances:
                file.write(json.dumps(_to_json(utterance), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def read_words(path: Path) -> dict[str, tuple[Word, ...]]:
    """Words by utterance, from a manifest or from any JSON lines with its keys `utterance` and `words`."""
    words: dict[str, tuple[Word, ...]] = {}
    for place, record in _records(path):
        if not isinstance(record.get("utterance"), str):
            raise StdSearchError(f'{place}: has no "utterance"; give its name as a string')
        words[record["utterance"]] = words_from_json(record.get("words"), place)
    return words


def words_from_json(words: object, place: str) -> tuple[Word, ...]:
    """Words from their lists in JSON; `place` (file:line) begins the message if they are not sound."""
    try:
        parsed = tuple(
            Word(text, tbeg, tend, tuple(PhoneSpan(_PHONE[phone], *times) for phone, *times in phones))
            for text, tbeg, tend, phones in words  # type: ignore[attr-defined]
        )
        edges = [time for word in parsed for span in word.phones for time in (span.tbeg, span.tend)]
        words_fit = all(
            word.phones and word.tbeg <= word.phones[0].tbeg and word.phones[-1].tend <= word.tend for word in parsed
        )
        sound = words_fit and all(isinstance(word.text, str) and word.tbeg < word.tend for word in parsed)
        sound = sound and all(math.isfinite(time) for time in edges) and edges == sorted(edges)
    except KeyError as error:
        raise StdSearchError(f"{place}: no phone {error}; use ARPAbet without stress") from error
    except (TypeError, ValueError) as error:
        raise StdSearchError(
            f"{place}: words are not [[word, tbeg, tend, [[phone, tbeg, tend], ...]], ...]; write them so"
        ) from error
    if not sound or (edges and edges[0] < 0):
        raise StdSearchError(f"{place}: the times of words or phones run backwards; align the utterance anew")
    return parsed


def words_to_json(words: Iterable[Word]) -> list[list]:
    """Words as lists, the inverse of words_from_json."""
    return [[w.text, w.tbeg, w.tend, [[p.phone, p.tbeg, p.tend] for p in w.phones]] for w in words]


def check_speakers(utterances: Iterable[_Spoken], source: Path) -> None:
    """Raise StdSearchError, naming the source, if a speaker is in two splits: held-out figures would be too good."""
    splits: dict[str, set[str]] = defaultdict(set)
    for utterance in utterances:
        splits[utterance.speaker].add(utterance.split)
    shared = [speaker for speaker, found in splits.items() if len(found) > 1]
    if shared:
        raise StdSearchError(
            f"{source}: speaker {shared[0]} is in the splits {' and '.join(sorted(splits[shared[0]]))}"
            f" ({len(shared)} such speakers); keep each in one, or pass --allow-shared-speakers"
        )


def _records(path: Path) -> Iterator[tuple[str, dict]]:
    """The objects of a JSON lines file, each with its place file:line."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                place = f"{path}:{number}"
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise StdSearchError(f"{place}: no JSON ({error}); give an object a line") from error
                if not isinstance(record, dict):
                    raise StdSearchError(f"{place}: no JSON object; give an object a line")
                yield place, record
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise StdSearchError(f"{path}: no UTF-8 text; give a manifest as JSON lines") from error


def _utterance(record: dict, place: str) -> Utterance:
    record = _OPTIONAL | record
    expected: dict[str, type | tuple[type, ...]] = {
        "channel": int,
        "tbeg": (int, float),
        "dur": (int, float),
        "words": list,
        "attributes": dict,
    }
    for key in Utterance.__dataclass_fields__:
        if not isinstance(record.get(key), expected.get(key, str)):
            raise StdSearchError(f'{place}: "{key}" is missing or of the wrong kind; see docs/prepare.md')
    if not (0 <= record["tbeg"] < math.inf and 0 < record["dur"] < math.inf and record["channel"] >= 1):
        raise StdSearchError(f'{place}: "tbeg", "dur" and "channel" name no stretch of audio; correct them')
    words = words_from_json(record["words"], place)
    if words and words[-1].tend > record["dur"] + SLACK_SECONDS:
        raise StdSearchError(f"{place}: words go on after the utterance ends; align it anew, or correct its dur")
    values = {key: record[key] for key in Utterance.__dataclass_fields__}
    return Utterance(**values | {"audio": Path(record["audio"]), "words": words})


def _to_json(utterance: Utterance) -> dict:
    record = {key: getattr(utterance, key) for key in Utterance.__dataclass_fields__}
    return record | {
        "audio": utterance.audio.as_posix(),
        "words": words_to_json(utterance.words),
        "attributes": dict(utterance.attributes),
    }
