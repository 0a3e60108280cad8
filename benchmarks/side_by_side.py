"""The same terms sought in the same hours of speech, one by one, in four ways and in one run.

    python benchmarks/side_by_side.py ../shared/speech/dev --out runs/ten --queries 40

All audio beside the task, of which the task's is a part, is indexed into --out, unless it is there. Then, on one core,
seconds of CPU a query:

- stdsearch, with the kind of vector index that the rule gives, and with exhaustive exact search: --queries typed terms
  and as many spoken examples, 20 hits, after as many others. All terms of the task, all hits, scored on its part of the
  audio, tell what the faster index loses.
- Subsequence DTW on MFCCs (mfcc_dtw): spoken examples, in cepstra that are there already; making these is told apart.
- pocketsphinx's keyphrase spotting (keyphrases): one typed term, and --queries of them together, in an even part of the
  recordings that lasts --heard of all seconds; CPU for all is that times as much, for it grows with the audio alone.

Writes benchmarks/results/side_by_side.json.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keyphrases
import mfcc_dtw
import numpy as np
from measure import write_result
from std_task import Task, figures, index, report, search
from vectors import made, with_index

from stdsearch import audio
from stdsearch.align import subsequence_costs
from stdsearch.archive import ArchiveReader
from stdsearch.search import SEGMENTS_A_PLACE, Archive, Request, depth_for
from stdsearch.threads import set_threads

SHOWN = 20


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the archive")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--heard", type=float, default=0.05, help="share of the audio that pocketsphinx hears")
    arguments = parser.parse_args()
    task, out = Task.read(arguments.task), arguments.out
    if not (out / "archive").exists():
        (out / "audio").mkdir(parents=True, exist_ok=True)
        (out / "audio/audio").symlink_to((arguments.task.parent / "audio").resolve())
        index(out / "audio", out / "archive", None, 2)
    set_threads(1)
    archive = Archive.open(out / "archive")
    recordings = {recording.path: Path(recording.source) for recording in archive.reader.recordings.values()}
    hours = archive.reader.total_seconds / 3600
    asked = {kind: drawn(task.requests(kind), 2 * arguments.queries) for kind in ("text", "audio1")}

    rows = []
    exact, _ = made(archive.reader, "exact")
    with tempfile.TemporaryDirectory(dir=out) as folder:
        exhaustive = Archive(with_index(archive.reader, exact, Path(folder)), archive.encoder, archive.pronouncer)
        for kind, requests in asked.items():
            for system, searched in (("stdsearch", archive), ("stdsearch, exact index", exhaustive)):
                spent = [seconds(lambda r=r, s=searched: list(s.search_all([r], limit=SHOWN))) for r in requests]  # type: ignore[misc]
                rows.append(row(system, kind, spent[arguments.queries :]))
        quality = compared(task, archive, exhaustive, asked["text"])
    rows += dtw(asked["audio1"][arguments.queries :], recordings)
    rows += spotted(task, asked["text"][arguments.queries :], archive.reader, recordings, arguments.heard)
    result = {"hours": round(hours, 2), "segments": archive.reader.n_segments, "rows": rows, "index": quality}
    print(write_result("side_by_side", result, threads=1).read_text(encoding="utf-8"))


def drawn(requests: Sequence[Request], n: int) -> list[Request]:
    """So many of the requests, at random."""
    return [requests[i] for i in np.random.default_rng(0).permutation(len(requests))[:n]]


def seconds(work: Callable[[], object]) -> float:
    """Seconds of CPU."""
    began = time.process_time()
    work()
    return time.process_time() - began


def row(system: str, query: str, spent: Sequence[float], **more: Any) -> dict[str, Any]:
    """One line of the table: seconds of CPU, the median over queries and the 95th percentile."""
    median, most = np.percentile(spent, [50, 95])
    return {"system": system, "query": query, "n": len(spent), "cpu_p50": float(median), "cpu_p95": float(most), **more}


def compared(task: Task, archive: Archive, exhaustive: Archive, asked: Sequence[Request]) -> dict[str, Any]:
    """What an index finds of what exhaustive search does, and how both score where the task's ECF says."""
    requests = task.requests("text")
    kwids = {request.kwid for request in requests}
    found = {}
    for name, searched in (("ivf", archive), ("exact", exhaustive)):
        with tempfile.TemporaryDirectory() as folder:
            scored = figures(report(task, search(searched, requests, Path(folder) / "hits.xml"), kwids))
        found[name] = {figure: scored[figure] for figure in ("mtwv", "atwv", "map", "stwv", "interval_95")}
    k = SEGMENTS_A_PLACE * depth_for(archive.reader.total_seconds, SHOWN)
    vectors = np.concatenate([archive.prepare(request).vectors for request in asked])
    nearest, others = (s.reader.nearest(vectors, k)[1] for s in (archive, exhaustive))
    shares = [np.isin(wanted[:100], got).mean() for wanted, got in zip(others, nearest, strict=True)]
    return {
        "settings": dict(archive.reader.settings["vectors"]),
        "looked_at": k,
        "best_100": round(float(np.mean(shares)), 4),
    } | found


def dtw(requests: Sequence[Request], recordings: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Subsequence DTW of each request's example in all recordings."""
    settings = mfcc_dtw.MfccSettings()
    began = time.process_time()
    parts = [mfcc_dtw.mfcc(audio.read(path), settings) for path in recordings.values()]
    made_in = time.process_time() - began
    frames, offsets, hop = np.concatenate(parts), np.cumsum([0, *map(len, parts)]), settings.mel.hop
    subsequence_costs(frames[:2], frames[:2], np.array([0, 2]))  # compiled before the clock runs
    spent = []
    for request in requests:
        (spoken,) = request.examples
        example = mfcc_dtw.said(mfcc_dtw.mfcc(audio.read(spoken.path), settings), spoken, hop)

        def look(example: np.ndarray = example) -> None:
            match = mfcc_dtw.Matches(*subsequence_costs(example, frames, offsets))
            mfcc_dtw.candidates([match], offsets, hop, len(example) * hop)

        spent.append(seconds(look))
    return [row("DTW on MFCCs", "audio1", spent, cpu_made=round(made_in, 1))]


def spotted(
    task: Task, requests: Sequence[Request], reader: ArchiveReader, recordings: Mapping[str, Path], heard: float
) -> list[dict[str, Any]]:
    """Pocketsphinx's pass over a part of the recordings for one term, and for all terms together."""
    terms = {term.kwid: term for term in task.kwlist.terms}
    known = [r for r in requests if keyphrases.Spotter([terms[r.kwid]], keyphrases.SpotSettings()).known]
    names = list(recordings)[:: round(1 / heard)]
    durations = {recording.path: recording.duration for recording in reader.recordings.values()}
    scale = sum(durations.values()) / sum(durations[name] for name in names)
    waveforms = [audio.read(recordings[name]) for name in names]
    rows = []
    for listed in (known[:1], known):
        spotter = keyphrases.Spotter([terms[r.kwid] for r in listed], keyphrases.SpotSettings())
        spent = scale * seconds(lambda spotter=spotter: [list(spotter.spot(waveform)) for waveform in waveforms])  # type: ignore[misc]
        rows.append(row("pocketsphinx", "text", [spent / len(listed)], together=len(listed), scaled=round(scale, 1)))
    return rows


if __name__ == "__main__":
    main()
