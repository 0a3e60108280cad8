"""Preparation from sources to a manifest: parallel, resumable, the same manifest whatever the order of work."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stdsearch.errors import StdSearchError
from stdsearch.pronounce import Pronouncer
from train.manifest import Utterance, Word, file_state, words_to_json, write_manifest
from train.prepare.report import DroppedUtterance, Report, Tally
from train.prepare.source import SourceUtterance
from train.prepare.utterance import Dropped, Found, Reason, UtterancePreparer
from train.prepare.workers import Crashed, map_isolated
from train.prepare.workfile import WorkFile


@dataclass(frozen=True, slots=True)
class Files:
    """Where a preparation leaves what: the manifest, its report, and, until it is done, the work so far."""

    manifest: Path

    @property
    def report(self) -> Path:
        """MANIFEST.report.json."""
        return self._beside(".report.json")

    @property
    def work(self) -> Path:
        """MANIFEST.work.jsonl."""
        return self._beside(".work.jsonl")

    def _beside(self, suffix: str) -> Path:
        return self.manifest.with_name(self.manifest.name.removesuffix(".jsonl") + suffix)


def prepare(
    sources: Sequence[SourceUtterance],
    manifest: Path,
    *,
    alignments: Mapping[str, tuple[Word, ...]] | None = None,
    lexicon: Path | None = None,
    jobs: int = 1,
    advance: Callable[[int], None] = lambda n_done: None,
) -> Report:
    """Write the manifest of the sources, in their order, and its report.

    alignments, words by utterance, are taken where they are the transcript's words; others are aligned anew. What an
    interrupted run found is taken from its work file, if transcript, audio, lexicon and alignment have not changed;
    what it dropped is tried again. advance is told the number of utterances done since it was last told.
    """
    files = Files(manifest)
    if manifest.exists():
        raise StdSearchError(f"{manifest}: exists already; remove it, or give another --out")
    pronouncer = Pronouncer(lexicon)
    tasks = [(source, (alignments or {}).get(source.utterance)) for source in sources]
    digest = hashlib.sha256(lexicon.read_bytes() if lexicon else b"").hexdigest()
    keys = [_key(source, given, digest) for source, given in tasks]
    dropped: dict[int, Dropped] = {}
    with WorkFile(files.work) as work:
        todo = [index for index, key in enumerate(keys) if key not in work]
        advance(len(keys) - len(todo))
        make = partial(UtterancePreparer, lexicon)
        with closing(map_isolated(make, [tasks[index] for index in todo], jobs=jobs)) as outcomes:
            for position, outcome in outcomes:
                index = todo[position]
                if isinstance(outcome, Crashed):
                    dropped[index] = Dropped(Reason.CRASHED, f"exit code {outcome.exit_code}")
                elif isinstance(outcome, Dropped):
                    dropped[index] = outcome
                else:
                    work[keys[index]] = outcome
                advance(1)
        found = (
            _utterance(source, work[key], manifest.parent)
            for index, (source, key) in enumerate(zip(sources, keys, strict=True))
            if index not in dropped
        )
        tally = Tally(pronouncer.in_dictionary)
        if len(dropped) < len(sources):
            write_manifest(manifest, tally.count(found))
    report = Report(
        kept=tally.kept(),
        dropped=[
            DroppedUtterance(sources[index].utterance, outcome.reason, outcome.detail, sources[index].place)
            for index, outcome in sorted(dropped.items())
        ],
        guessed=dict(tally.guessed.most_common()),
    )
    report.write(files.report)
    files.work.unlink()
    if not report.kept:
        reason, count, detail = report.reasons()[0]
        raise StdSearchError(
            f"{files.report}: every utterance was dropped, {count} as `{reason}` ({detail}); see there"
        )
    return report


def _utterance(source: SourceUtterance, found: Found, folder: Path) -> Utterance:
    audio, folder = Path(os.path.abspath(source.audio)), Path(os.path.abspath(folder))
    return Utterance(
        utterance=source.utterance,
        split=source.split,
        corpus=source.corpus,
        speaker=source.speaker,
        audio=audio.relative_to(folder) if audio.is_relative_to(folder) else audio,
        channel=source.channel,
        tbeg=source.tbeg,
        dur=found.dur,
        text=source.text,
        words=found.words,
        attributes=source.attributes,
    )


def _key(source: SourceUtterance, given: tuple[Word, ...] | None, lexicon: str) -> str:
    """What a finding depends on, as a short name."""
    audio = file_state(source.audio)
    stretch = (source.channel, source.tbeg, source.dur)
    content = json.dumps([audio, stretch, source.text, words_to_json(given or ()), lexicon])
    return hashlib.sha256(content.encode()).hexdigest()[:24]
