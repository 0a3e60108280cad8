"""Fills RESULTS.md from results/*.json: run it after a benchmark.

python benchmarks/report.py
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Result = dict[str, Any]


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def std_task(result: Result) -> str:
    """Detection figures of every system: all terms, IV and OOV."""
    shown = ("terms", "targets", "atwv", "mtwv", "map", "fom", "stwv")
    rows = [
        [system, part, *(figures[name] for name in shown), _interval(figures), parts["ms_p50"], parts["ms_p95"]]
        for system, parts in result["systems"].items()
        for part, figures in parts.items()
        if part in ("all", "IV", "OOV")
    ]
    trials = next(iter(result["systems"].values()))["all"]
    text = f"T = {trials['trials']:,} s, β = {trials['beta']}, encoder {result['encoder']}.\n\n"
    text += table(("system", "which", *shown, "95 % of mtwv", "ms p50", "ms p95"), rows)
    if "index_seconds" in result:
        text += (
            f"\n\nIndexed in {result['index_seconds']:.0f} s, {result['index_x_real_time']:.0f} × real time, at most "
            f"{result['index_peak_mib']:,} MiB of memory; {result['segments_per_hour']:,} segments and "
            f"{result['mib_per_hour']:,} MiB an hour."
        )
    return text


def _interval(part: Result) -> str:
    low, high = part["interval_95"]["mtwv"]
    return f"{low:.3f} to {high:.3f}"


def words(result: Result) -> str:
    """Word discrimination."""
    names = ("tokens", "types", "acoustic_ap", "acoustic_ap_different_speaker", "crossmodal_ap")
    columns = ("tokens", "types", "acoustic AP", "of different speakers", "cross-modal AP")
    return table(columns, [[result[name] for name in names]])


def scoring(result: Result) -> str:
    """Speed and memory of the scorer."""
    names = ("seconds_median", "seconds_min", "seconds_max", "cpu_seconds_median", "peak_gib")
    rows = [[case, *(figures[name] for name in names)] for case, figures in result["cases"].items()]
    return table(("case", "s, median", "least", "most", "CPU s", "peak GiB"), rows)


def alignment(result: Result) -> str:
    """Forced alignment against the reference alignments."""
    names = ("utterances", "words", "median_edge_difference", "both_edges_within_50_ms", "foreign_transcripts_dropped")
    columns = (
        "utterances",
        "words",
        "median edge difference, s",
        "both edges within 50 ms",
        "wrong transcripts dropped",
    )
    rows = [[*(result[name] for name in names), result["times_real_time_of_cpu"]]]
    return table((*columns, "× real time of CPU"), rows)


def activity(result: Result) -> str:
    """Speech activity detectors side by side."""
    kinds = ("clean", "20 dB", "10 dB", "5 dB")
    rows = [
        [name, *(f"{d[k]['words_kept']:.4f} / {d[k]['rest_skipped']:.2f}" for k in kinds), d["times_real_time_of_cpu"]]
        for name, d in result["detectors"].items()
    ]
    return table(("detector", *kinds, "× real time of CPU"), rows)


TASK = """Read speech at 24 kbit/s from speakers never heard in training; terms of five letters or more, and phrases. IV
terms occur in the training texts, OOV terms do not. STWV is the recall of the first pass, all hits accepted. Spoken
queries take the terms that have so many examples."""
DEV = "As test. The calibration was fitted here, so these figures flatter."
ALIGNMENT = "Against alignments by the same aligner: agreement, not accuracy."
ACTIVITY = "Share of word time kept / share of the rest skipped, by signal-to-noise ratio."

SECTIONS: tuple[tuple[str, str, str, Callable[[Result], str]], ...] = (
    ("std_task_test", "Spoken term detection, test", TASK, std_task),
    ("std_task_dev", "Spoken term detection, dev", DEV, std_task),
    ("words_test", "Word discrimination, test", "", words),
    ("words_dev", "Word discrimination, dev", "", words),
    ("scoring", "Speed of the scorer", "", scoring),
    ("alignment", "Forced alignment", ALIGNMENT, alignment),
    ("activity", "Speech activity", ACTIVITY, activity),
)
ABOUT = """# Results

Measured, each with its command, commit and machine; made from results/*.json by `report.py`. The machines are shared
and noisy: ratios within a run say more than seconds."""


def main() -> None:
    """Write RESULTS.md."""
    parts = [ABOUT]
    for name, title, note, render in SECTIONS:
        path = HERE / "results" / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            about = f"`{result['command']}` at {result['commit']}, {result['machine']}, {result['threads']} threads"
            parts.append("\n\n".join(filter(None, [f"## {title}", note, render(result), about])))
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
