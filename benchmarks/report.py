"""Fills RESULTS.md from results/*.json: run it after a benchmark.

python benchmarks/report.py
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Detection figures of every system: all terms, IV and OOV, and by text those that have spoken examples."""
    shown = ("terms", "targets", "atwv", "mtwv", "mtwv_kst", "map", "fom", "stwv")
    rows = [
        [system, part, *(own.get(name, "–") for name in shown), _interval(own), parts["ms_p50"], parts["ms_p95"]]
        for system, parts in result["systems"].items()
        for part, own in parts.items()
        if isinstance(own, dict)
    ]
    trials = next(iter(result["systems"].values()))["all"]
    text = f"T = {trials['trials']:,} s, β = {trials['beta']}, encoder {result['encoder']}.\n\n"
    text += table(("system", "which", *shown, "95 % of mtwv", "ms p50", "ms p95"), rows)
    if "index_seconds" in result:
        text += (
            f"\n\nIndexed in {result['index_seconds']:.0f} s, {result['index_x_real_time']:.0f} × real time, at most "
            f"{result['index_peak_mib']:,.0f} MiB of memory; {result['segments_per_hour']:,} segments and "
            f"{result['mib_per_hour']:,} MiB an hour."
        )
    return text


def _interval(part: Result, figure: str = "mtwv") -> str:
    low, high = part["interval_95"][figure]
    return "–" if low is None else f"{low:.3f} to {high:.3f}"


def peers(result: Result) -> str:
    """Detection figures of every system, and what each costs."""
    rows = [
        [
            row["system"], row["query"], row["scores"], part, figures["terms"], figures["mtwv"], _interval(figures),
            figures["atwv"] if row["scores"] == "calibrated" else "–", figures["map"], _interval(figures, "map"),
            figures["fom"], figures["stwv"], 1000 * row["cpu_seconds_per_query"],
        ]
        for row in result["rows"]
        for part, figures in row["parts"].items()
    ]  # fmt: skip
    columns = ("system", "query", "scores", "which", "terms", "mtwv", "95 %", "atwv", "map", "95 %", "fom", "stwv")
    facts = [
        [
            system, about["encoder"], _or_dash(about.get("steps")), _or_dash(about.get("minutes")),
            about["index_cpu_seconds"], result["seconds"] / about["index_cpu_seconds"],
        ]
        for system, about in result["systems"].items()
        if "encoder" in about
    ]  # fmt: skip
    made = table(("system", "encoder", "training steps", "minutes", "CPU s to index", "× real time"), facts)
    return f"{table((*columns, 'CPU ms a query'), rows)}\n\n{_pace(result)}\n\n{made}"


def _pace(result: Result) -> str:
    """What a query costs beside ours."""
    calibrated = {(row["system"], row["query"]): row for row in result["rows"] if row["scores"] == "calibrated"}
    spotting, hours = result["systems"]["pocketsphinx"], result["seconds"] / 3600
    dtw, ours = (calibrated[system, "audio1"]["cpu_seconds_per_query"] for system in ("DTW on MFCCs", "stdsearch"))
    return (
        f"pocketsphinx spots {spotting['keyphrases']:,} keyphrases at once, {spotting['x_real_time']} × real time. "
        f"One example against {hours:.2f} hours by DTW takes {dtw / ours:.1f} times as long as our search; against ten "
        f"hours, for it grows with the audio, it would take {10 / hours * dtw:.2f} s."
    )


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


def vectors(result: Result) -> str:
    """Kinds of vector index beside exhaustive search."""
    exact = result["kinds"]["exact"]
    names = ("n_lists", "n_probe", "bytes_per_vector", "made_seconds", "ms", "ms_in_a_batch", *RECALLS)
    columns = (
        "kind",
        "lists",
        "visited",
        "bytes",
        "made in s",
        "ms",
        "ms in a batch",
        *RECALLS.values(),
        "MTWV",
        "lost",
        "MAP",
        "lost",
    )
    rows = [
        [kind, *(facts[name] for name in names)]
        + [value for name in ("mtwv", "map") for value in (facts[name], exact[name] - facts[name])]
        for kind, facts in result["kinds"].items()
    ]
    return f"{result['vectors']:,} segments, {result['terms']:,} terms.\n\n" + table(columns, rows)


def vector_copies(result: Result) -> str:
    """The index of a larger archive."""
    names = (
        "vectors",
        "kind",
        "n_lists",
        "n_probe",
        "bytes_per_vector",
        "resident_bytes_per_vector",
        "ms",
        "ms_in_a_batch",
    )
    columns = ("vectors", "kind", "lists", "visited", "bytes", "resident", "ms", "ms in a batch")
    spent = ", ".join(f"{name} {result[f'{name}_seconds']:,} s" for name in ("training", "adding", "tuning", "loading"))
    return (
        table((*columns, *RECALLS.values()), [[result[name] for name in (*names, *RECALLS)]])
        + f"\n\nMade in {spent}; at most {result['peak_gib']} GiB. Exhaustive search: "
        f"{result['exhaustive_ms_in_a_batch']:,} ms a query. Cosine of neighbouring slices "
        f"{result['cosine_of_neighbours']}, of an embedding and its copy {result['cosine_of_copies']}."
    )


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


def indexing(result: Result) -> str:
    """Speed of indexing, and where the time goes."""
    speed, spent = result["x_real_time"], result["cpu_seconds_per_hour"]
    total = sum(spent.values())
    text = (
        f"{result['audio_seconds'] / 3600:.1f} hours: {speed['median']:.0f} × real time ({speed['least']:.0f} to "
        f"{speed['most']:.0f}), {result['cores_busy']:.2f} cores busy, at most {result['peak_mib']:,.0f} MiB of "
        f"memory; decoding alone, on one thread, {result['decoding_alone_x_real_time']:.0f} × real time. "
        f"{result['segments_per_hour']:,} segments and {result['mib_per_hour']:.0f} MiB an hour."
    )
    rows = [[stage, seconds, f"{100 * seconds / total:.0f} %"] for stage, seconds in spent.items()]
    return f"{text}\n\n" + table(("stage", "CPU s an hour of audio", "share"), [*rows, ["all", total, ""]])


def files(result: Result) -> str:
    """Speed and memory of indexing kinds of files."""
    names = ("files", "hours", "x_real_time", "x_real_time_of_cpu", "decoding_x_real_time", "ms_a_file", "peak_mib")
    rows = [[kind, *(figures[name] for name in names)] for kind, figures in result["kinds"].items()]
    shown = ("× real time", "of CPU", "decoding alone", "CPU ms a file", "MiB at most")
    return table(("kind", "files", "hours", *shown), rows)


def latency(result: Result) -> str:
    """What a query costs in archives of many sizes, and as a process of its own."""
    columns = (
        "hours",
        "segments",
        "index",
        "first query, s",
        "ms p50",
        "p95",
        "again p50",
        "p95",
        "CPU ms p50",
        "p95",
        "of it nearest",
        "pages read a term",
    )
    rows = [
        [
            size["hours"],
            size["segments"],
            f"{size['vectors']['kind']}, {size['vectors']['n_probe']} of {size['vectors']['n_lists']} lists",
            size["opening_seconds"],
            *(size[f"{clock}ms_p{percent}"] for clock in ("", "again_", "cpu_") for percent in (50, 95)),
            size["nearest_cpu_ms_p50"],
            size["pages_read_a_term"],
            f"{size['kwlist_shown_ms_a_term']} / {size['kwlist_shown_cpu_ms_a_term']}, {size['depth_shown']} places",
            f"{size['kwlist_ms_a_term']} / {size['kwlist_cpu_ms_a_term']}, {size['depth']} places",
            f"{size['peak_gib']}, {size['own_gib']}",
        ]
        for size in (*result["sizes"], *([result["confined"]] if result.get("confined") else []))
    ]
    if result.get("confined"):
        rows[-1][0] = f"{rows[-1][0]}, of {result['memory_gib']:g} GiB of memory"
    query, torch = result["cold"]["query"], result["cold"]["torch"]
    text = table((*columns, "KWList, 20 hits: ms a term / of CPU", "all hits", "peak GiB, own"), rows)
    return text + (
        "\n\n![Milliseconds over hours of recordings](results/latency.png)"
        f"\n\n`stdsearch query` as a process, {result['cold']['hours']} hours: "
        f"{query['seconds']:.2f} s, {query['cpu_seconds']:.2f} s of CPU, "
        f"{query['cpu_seconds'] / torch['cpu_seconds']:.2f} times what a process that imports torch takes "
        f"({torch['seconds']:.2f} s, {torch['cpu_seconds']:.2f} s of CPU). "
        f"The disk gave {result['disk_reads_a_second']:,} pages a second, here and there. "
        f"On average {result['load_average']} processes were ready to run on the machine."
    )


def life(result: Result) -> str:
    """What it costs to keep archives of some sizes."""
    steps = list(dict.fromkeys(step for archive in result["archives"] for step in archive["steps"]))
    rows = [[step, *(_step(archive["steps"].get(step)) for archive in result["archives"])] for step in steps]
    sizes = (f"{a['hours']:g} h, {a['recordings']:,} recordings, {a['gib']} GiB" for a in result["archives"])
    return table(("seconds / of CPU / GiB at most / of it own", *sizes), rows)


def _step(figures: Mapping[str, float] | None) -> str:
    if figures is None:
        return ""
    gib = (figures[name] / 1024 for name in ("peak_mib", "own_mib"))
    return " / ".join([f"{figures['seconds']:g}", f"{figures['cpu_seconds']:g}", *(f"{value:.1f}" for value in gib)])


def side_by_side(result: Result) -> str:
    """One query at a time in the same hours, in four ways."""
    base = {row["query"]: row["cpu_p50"] for row in result["rows"] if row["system"] == "stdsearch"}
    rows = [
        [
            row["system"],
            row["query"],
            row.get("together", 1),
            row["n"],
            *(1000 * row[f"cpu_p{percent}"] for percent in (50, 95)),
            row["cpu_p50"] / base[row["query"]],
        ]
        for row in result["rows"]
    ]
    columns = ("system", "query", "terms together", "measured", "CPU ms a term p50", "p95", "times stdsearch")
    cepstra = next(row["cpu_made"] for row in result["rows"] if "cpu_made" in row)
    scaled = next(row["scaled"] for row in result["rows"] if "scaled" in row)
    found, shown = result["index"], ("mtwv", "atwv", "map", "stwv")
    scores = [[name, *(found[name][figure] for figure in shown)] for name in ("exact", "ivf")]
    scores.append(["lost", *(found["exact"][figure] - found["ivf"][figure] for figure in shown)])
    return (
        f"{result['hours']} hours, {result['segments']:,} segments. Cepstra for DTW took {cepstra:,.0f} s of CPU more. "
        f"pocketsphinx heard a part of the audio; its CPU is {scaled} times what that took."
        f"\n\n{table(columns, rows)}\n\n"
        f"Of the 100 nearest segments, the index has {found['best_100']:.3f} among the {found['looked_at']} that are "
        f"looked at for 20 hits. All terms of dev, all hits, scored on dev's part of the audio:\n\n"
        f"{table(('index', *shown), scores)}"
    )


def slicing(result: Result) -> str:
    """Archives with more and fewer slices side by side."""
    systems, shown = ("text", "audio1"), ("mtwv", "map", "fom", "stwv")
    rows = [
        [
            *point.split("/", 1),
            *(p[name] for name in ("segments_per_hour", "mib_per_hour", "index_seconds")),
            *(p[system][name] for system in systems for name in shown),
        ]
        for point, p in result["points"].items()
    ]
    columns = ("lengths", "hop", "segments an hour", "MiB an hour", "s to index")
    return table((*columns, *(f"{system} {name}" for system in systems for name in shown)), rows)


def phrases(results: Sequence[Result]) -> str:
    """Easy and hard phrase pairs beside published figures, and what the sets hold."""
    rows: list[list[Any]] = []
    for result in results:
        trials = {(trial["enrolment"], trial["expansion"], trial["set"]): trial for trial in result["trials"]}
        for enrolment, expansion in dict.fromkeys(key[:2] for key in trials):
            sets = [trials[enrolment, expansion, name] for name in ("LP-E", "LP-H")]
            figures = [_percent(trial[name]) for name in ("eer", "auc") for trial in sets]
            distinct = [_percent(trial[name]) for name in ("eer_distinct", "auc_distinct") for trial in sets]
            asked = (f"{enrolment}, {expansion}", result["trained_on"], result["tested_on"])
            counts = [" / ".join(f"{trial[name]:,}" for trial in sets) for name in ("n_trials", "n_distinct")]
            rows.append([_system(result), *asked, "all", counts[0], *figures])
            rows.append([_system(result), *asked, "distinct", counts[1], *distinct])
    rows += [[*published[:4], "not said", "", *published[4:]] for published in PUBLISHED_PHRASES]
    columns = ("system", "enrolled, expansion", "trained on", "tested on", "trials", "LP-E / LP-H")
    text = table((*columns, "EER LP-E", "EER LP-H", "AUC LP-E", "AUC LP-H"), rows)
    shown = ("clips", "phrases", "phrases_of_two_speakers", "episodes", "rows_positive", "rows_easy", "rows_hard")
    held: dict[str, list[list[Any]]] = {}
    for result in results:
        held[result["tested_on"]] = [
            [result["tested_on"], words, *(counts[name] for name in shown), _or_dash(counts["hard_distance"])]
            for words, counts in result["words"].items()
        ]
    columns = ("set", "words", *(name.replace("_", " ") for name in shown), "median phones to a hard negative")
    return f"{text}\n\n{table(columns, [row for rows in held.values() for row in rows])}"


def pairs(results: Sequence[Result]) -> str:
    """Average precision of right (text, clip) pairs among fifty times as many wrong ones, beside published figures."""
    rows: list[list[Any]] = [
        [
            _system(result), result["trained_on"], result["tested_on"], result["positives"], result["negatives"],
            _percent(result["ap"]), " to ".join(_percent(f(result["ap_by_seed"].values())) for f in (min, max)),
        ]
        for result in results
    ]  # fmt: skip
    rows += [[*published, ""] for published in PUBLISHED_PAIRS]
    return table(("system", "trained on", "tested on", "positives", "negatives", "AP", "of single draws"), rows)


def jmcl(results: Sequence[Result]) -> str:
    """Word discrimination of IV and OOV words beside published figures."""
    rows: list[list[Any]] = []
    for result in results:
        parts = [result.get(name, {}) for name in ("IV", "OOV")]
        tokens = " / ".join(f"{part.get('tokens', 0):,}" for part in parts)
        figures = [_percent(part.get(name)) for name in ("acoustic_ap", "crossmodal_ap") for part in parts]
        across = [_percent(part.get("acoustic_ap_different_speaker")) for part in parts]
        rows.append([_system(result), result["trained_on"], result["tested_on"], tokens, *figures, " / ".join(across)])
    rows += [[*published, ""] for published in PUBLISHED_JMCL]
    columns = ("system", "trained on", "tested on", "clips IV / OOV", "acoustic AP IV", "OOV")
    return table((*columns, "cross-modal AP IV", "OOV", "acoustic AP of different speakers"), rows)


def samediff(results: Sequence[Result]) -> str:
    """The same-different task on LibriSpeech beside the benchmark's own figures."""
    names = [f"{figure}_{kind}" for figure in ("ap", "prb") for kind in ("sw", "swsp", "swdp")]
    rows: list[list[Any]] = [
        [_system(result), result["trained_on"], result["tested_on"], *(_percent(result[name]) for name in names)]
        for result in results
    ]
    columns = [name.upper().replace("_", " ") for name in names]
    return table(("system", "trained on", "tested on", *columns), rows + list(PUBLISHED_SAMEDIFF))


def ablation(result: Result) -> str:
    """A paper's ablation in small, mean over seeds and range, beside the paper's own figure."""
    shown = ABLATION_FIGURES[result["recipe"]]
    published = PUBLISHED_ABLATION[result["recipe"]]
    rows = [
        [
            variant,
            *(_spread(figures[name]) if name in figures else "–" for name in shown),
            published.get(variant, "–"),
        ]
        for variant, figures in result["variants"].items()
    ]
    runs = result["runs_made"]
    minutes, steps = ([run[name] for run in runs] for name in ("minutes", "steps"))
    seeds = "one seed" if result["runs"] == 1 else f"{result['runs']} seeds"
    text = (
        f"{result['train_hours']} hours of training speech, measured on {result['tested_on']}; {max(steps):,} steps, "
        f"{min(minutes):.0f} to {max(minutes):.0f} minutes on one shared core each, {seeds}."
    )
    columns = ("variant", *(name.replace("_", " ") for name in shown), f"published: {published['figure']}")
    return f"{text}\n\n{table(columns, rows)}"


def _spread(figure: Result) -> str:
    between = (
        f" ({_percent(figure['least'])} to {_percent(figure['most'])})" if figure["least"] < figure["most"] else ""
    )
    return f"{_percent(figure['mean'])}{between}"


def robustness(result: Result) -> str:
    """Figures in every condition, and what was lost."""
    shown = ("mtwv", "atwv", "map", "fom", "stwv")
    rows = [
        [
            name, _or_dash(condition.get("kbits")), system, *(part[figure] for figure in shown),
            *(_loss(part["lost"][figure]) if name != "clean" else "–" for figure in ("mtwv", "map")),
        ]
        for name, condition in result["conditions"].items()
        for system, part in condition["systems"].items()
    ]  # fmt: skip
    columns = ("recordings", "kbit/s", "system", *shown, "mtwv lost (95 %)", "map lost (95 %)")
    asked = ", ".join(f"{n} terms by {system}" for system, n in result["asked"].items())
    rooms = ", ".join(
        f"{name}: {' × '.join(map(str, room['metres']))} m, T60 {room['t60']} s, {room['metres_away']} m away, direct "
        f"sound {room['direct_to_reverberant_db']} dB"
        for name, room in result["rooms"].items()
    )
    text = f"{asked}, drawn with seed {result['seed']}; encoder {result['encoder']}. Rooms: {rooms}."
    return f"{text}\n\n{table(columns, rows)}"


def _loss(loss: Sequence[float]) -> str:
    lost, low, high = loss
    return f"{lost:.3f} ({low:.3f} to {high:.3f})" if low is not None else _or_dash(lost)


def speakers(result: Result) -> str:
    """Figures by corpus and speaker."""
    shown = ("targets", "mtwv", "atwv", "map", "fom", "stwv")
    rows = [
        [
            row["corpus"], row["speaker"] or f"all {row['speakers']}", row["seconds"], system,
            *(row[name] for name in shown), _interval(row),
        ]
        for system, groups in result["systems"].items()
        for row in groups
    ]  # fmt: skip
    return table(("corpus", "speaker", "seconds", "system", *shown, "95 % of mtwv"), rows)


def failures(result: Result) -> str:
    """Kinds of errors, and the lists of the worst."""
    misses = [[f"missed: {kind}", n, ""] for kind, n in result["misses"].items()]
    alarms = [[kind, result["false_alarms"].get(kind, 0), n] for kind, n in result["false_hits"].items()]
    kinds = table(("kind", "misses or false alarms", "false hits of .05 or more"), misses + alarms)
    before, after = (
        ", ".join(f"{name.upper()} {value:.3f}" for name, value in result[figures].items())
        for figures in ("as_scored", "forgiven")
    )
    terms = [
        [
            row["term"], row["targets"], sum(row["misses"].values()), row["value"], row["ap"],
            "; ".join(f"{alarm['said']} ({alarm['kind']})" for alarm in row["false_alarms"]),
        ]
        for row in result["worst_terms"]
    ]  # fmt: skip
    hits = [[row[name] for name in ("term", "score", "said", "kind")] for row in result["surest_false_hits"]]
    return "\n\n".join(
        (
            kinds,
            f"As scored: {before}. Without what a listener would hardly call wrong: {after}.",
            table(("worst terms", "targets", "missed", "value", "AP", "false alarms: what was said"), terms),
            table(("surest false hits", "probability", "what was said", "kind"), hits),
        )
    )


def probabilities(result: Result) -> str:
    """Reliability, cross entropy and decisions by cost of every system."""
    systems = result["systems"]
    bins = sorted({(row["from"], row["to"]) for part in systems.values() for row in part["reliability"]})
    rows: list[list[Any]] = []
    for low, high in bins:
        row: list[Any] = [f"{low:g} to {high:g}"]
        for part in systems.values():
            found = [r for r in part["reliability"] if r["from"] == low]
            row += [found[0]["hits"], f"{found[0]['predicted']:.3f} / {found[0]['true']:.3f}"] if found else ["", "–"]
        rows.append(row)
    columns = [name for system in systems for name in (f"{system}: hits", "predicted / true")]
    costs = [row["beta"] for row in next(iter(systems.values()))["costs"]]
    worth = [
        [system, part["cnxe"], part["min_cnxe"], *(f"{row['atwv']:.3f} / {row['mtwv']:.3f}" for row in part["costs"])]
        for system, part in systems.items()
    ]
    head = ("system", "Cnxe", "min Cnxe", *(f"ATWV / MTWV, β {beta:g}" for beta in costs))
    return f"{table(('probability', *columns), rows)}\n\n{table(head, worth)}"


def training_speed(result: Result) -> str:
    """Tokens a second, time of an epoch, and where it goes."""
    names = ("parameters", "tokens_per_second", "seconds_per_step", "steps_per_epoch", "seconds_per_epoch")
    stages = ("wait", "forward", "backward", "update")
    rows = [
        [recipe, *(figures[name] for name in names), *(_percent(figures[f"share_{stage}"]) for stage in stages)]
        for recipe, figures in result["recipes"].items()
    ]
    columns = [name.replace("_", " ") for name in names]
    return table(("recipe", *columns, "waiting for data, %", *(f"{stage}, %" for stage in stages[1:])), rows)


def _system(result: Result) -> str:
    """A system's name, with what else tells its figures apart."""
    said = [result["system"], "verifier" if result.get("scorer") == "verifier" else "", "cut" if result["cut"] else ""]
    return ", ".join(filter(None, said))


def _percent(share: float | None) -> str:
    return _or_dash(None if share is None else f"{100 * share:.2f}")


def _or_dash(value: Any) -> Any:
    return "–" if value is None else value


TASK = """Read speech at 24 kbit/s from speakers never heard in training; terms of five letters or more, and phrases. IV
terms occur in the training texts, OOV terms do not. STWV is the recall of the first pass, all hits accepted. Spoken
queries take the terms that have so many examples. mtwv_kst: of the scores that `query --normalise kst` gives."""
DEV = "As test. The calibration was fitted here, so these figures flatter."
VERIFIED = """The same terms as above, with `--verify`: the verifier's log odds are one more feature of a candidate."""
PEERS = """Other ways to search the same speech for the same terms, in one run on one core; 95 % intervals by bootstrap
over terms. pocketsphinx spots keyphrases: thresholds opened to 1e-50, up to four pronunciations of a term, its own
acoustic model; "known" terms have every word in its dictionary, the others count as missed. DTW on MFCCs: 39
coefficients every 10 ms, raw scores normalised by query. Rows of JMCL and ADML, where there are any: the papers'
recipes in small as encoders in our search, with fewer slices (six lengths, a quarter of it apart). "calibrated":
probabilities by two logistic models fitted on dev, of the features that the system has, as ours are; raw scores have
no decisions, so no ATWV."""
ALIGNMENT = "Against alignments by the same aligner: agreement, not accuracy."
ACTIVITY = "Share of word time kept / share of the rest skipped, by signal-to-noise ratio."

PHRASES = """Is it the enrolled phrase? EER and AUC in per cent; LP-E against easy negatives, LP-H against hard ones.
T: enrolled by text, A: by sound, TA: by both. Expansion 4: each negative row gives four trials, positive rows none, as
PhonMatchNet counts; 2: each row of either kind gives two, as MM-KWS does. Many trials come twice or more, so figures
are over all and over the distinct ones; all trials are pooled. Rows that say "cut" encoded clips cut out of their
utterances, as the official files are; the others heard the utterance. The published rows are of the official
LibriPhrase from train-other-500: another and far larger set, trained on other data. They show the scale, not a
comparison. In our speech nobody says a phrase six times, as the official rule asks; "small" asks for one clip each of
two speakers. Dev (31 speakers) then has no phrase of four words, and was watched while the encoder was trained."""
PAIRS = """Every word said, as recorded, against its own text and 50 texts of other words; AP in per cent, mean over the
draws. The published rows are of 3.2 thousand words of WSJ with noise and reverberation: not comparable."""
JMCL = """Words of three characters or more, .5 to 2 s; IV words occur in the training texts, OOV words do not. AP in
per cent. The published rows are of LibriSpeech test-clean, whose IV set has 34.3 million pairs of clips: another set,
and average precision falls with the share of positive pairs."""
SAMEDIFF = "Lists of nicolvisser/librispeech-samediff; areas and break-even points in per cent."

KING = "King-ASR-066, 4,600 h"
LIBRISPEECH_460 = "LibriSpeech train-clean-100 and -360, 460 h"
LIBRISPEECH_100 = "LibriSpeech train-clean-100, 100 h"
OFFICIAL = "LibriPhrase, official"
# EER LP-E, LP-H, AUC LP-E, LP-H
PUBLISHED_PHRASES = (
    ("CMCD (2206.15400)", "T", LIBRISPEECH_460, OFFICIAL, "8.42", "32.90", "96.70", "73.58"),
    ("CMCD, in ADML's table", "T", KING, OFFICIAL, "4.20", "25.94", "99.12", "81.14"),
    ("RP loss, in ADML's table", "T", KING, OFFICIAL, "1.54", "22.45", "99.84", "85.31"),
    ("ADML + SphereFace2 (2505.16735)", "T", KING, OFFICIAL, "1.33", "20.09", "99.86", "88.71"),
    ("PLCL (2412.20805)", "T", f"{LIBRISPEECH_460}; Whisper-tiny", OFFICIAL, "1.21", "9.96", "99.91", "95.56"),
    ("PLCL", "A", f"{LIBRISPEECH_460}; Whisper-tiny", OFFICIAL, "1.80", "13.94", "99.83", "93.09"),
    ("PLCL", "TA", f"{LIBRISPEECH_460}; Whisper-tiny", OFFICIAL, "0.57", "8.47", "99.97", "96.59"),
)
# positives, negatives, AP
PUBLISHED_PAIRS = (
    ("RP loss, in ADML's table", KING, "WSJ", "18k", "50 times", "75.10"),
    ("ADML without L_key", KING, "WSJ", "18k", "50 times", "86.23"),
    ("ADML + SphereFace2 (2505.16735)", KING, "WSJ", "18k", "50 times", "90.24"),
)
# clips, acoustic AP IV, OOV, cross-modal AP IV, OOV
PUBLISHED_JMCL = (
    ("A2E-DWD, in JMCL's table", LIBRISPEECH_100, "test-clean", "", "72.15", "79.83", "–", "–"),
    ("CLAP, in JMCL's table", LIBRISPEECH_100, "test-clean", "", "74.83", "91.68", "–", "–"),
    ("JMCL, CLAP + DWD (2512.14115)", LIBRISPEECH_100, "test-clean", "", "85.05", "94.06", "98.66", "99.46"),
)
PUBLISHED_SAMEDIFF = (
    ["HuBERT-soft, DTW", "LibriSpeech, no texts", "dev-clean", "87.76", "90.88", "87.10", "81.36", "85.38", "80.66"],
)

RECALLS = {
    "of_100_among_100": "best 100 in 100",
    "of_100_among_3000": "best 100 in 3,000",
    "of_3000_among_3000": "best 3,000 in 3,000",
}
VECTORS = """Each kind over the same embeddings, tuned for a recall of .99 by words of the dictionary; then recall
against the exact kind, and search with that index, scored. Milliseconds are CPU time for 3,000 neighbours of one query
vector on one thread, the index mapped and in memory; bytes a vector include its id."""
COPIES = """Embeddings of the open speech, dev and test included, repeated; each copy of an embedding is moved by the
difference of two neighbouring slices. Recall against exhaustive search over the same vectors, 50 queries."""
JMCL_ABLATION = """The recipe with the paper's losses, batches of 64 words x 4, a smaller network (`--small`), a few
epochs; every variant has the same data, steps and seeds, and noise mixed in (`--noise`). Per cent, mean over the
seeds and range; the commit of each run stands in the JSON. The paper trained 30 epochs on 100 hours and tested on
test-clean: compare the order of the rows, not the figures. Not the paper's order here: CLAP alone is first. 700 steps
are a ninth of the paper's, and DWD, whose cosines have no scale, learns slowly."""
ADML_ABLATION = """As above, batches of 64 words x 2, learning rate 1e-3 instead of 1e-4 for so few steps. pair AP is
the paper's measure: right pairs among fifty times as many wrong ones. The paper trained 100 epochs on 4,600 hours and
tested on WSJ. The first three rows of the paper come in its order. Modality adversary and keyword classifier lower the
figure here, with both seeds: after three epochs they cost more than they teach."""
PLCL_ABLATION = """Verifiers on the frozen frames of encoder 927fe7af14a57699, AdamW, batches of 64 pairs. EER and AUC
over the distinct trials of dev's phrase pairs; T, A and TA enrolment. The paper trained on 460 hours and tested on
LibriPhrase, and ablates text and audio enrolment apart. The frozen frames come from an encoder that was taught
phones, so the phoneme level has little to add."""
FILES = """End to end by the command line, each kind in a process of its own. Hours count each channel."""
SIDE_BY_SIDE = """All the open speech that the encoder was trained, tuned and tested on: what is compared is time, and
what an index loses. One query after the other, in one process on one core: 20 hits of stdsearch, 150 of DTW, what
pocketsphinx finds. Of terms looked for together, each one's share of the time."""
SLICING = """Dev, as above. Lengths of slices from 0.2 to 1.6 s, and their hop as a share of the length; "all" slices
what is no speech too. All with the calibration of 7 / 0.25, which ships. The encoder, of which an archive has one, is
not counted."""
LATENCY = """Typed terms of dev, one at a time, after as many others, pronunciation included, the best 20 hits shown;
again: the same terms once more. Archives of half the memory or less were read through before. The last has 55 GB, of
which the machine's 24 GiB hold what was used last; confined, pages of files included, it begins with none. First query:
opens the archive as well; lists of terms with 20 hits each, and with all; places: those rescored. Peak: with the pages
of files, which the system takes back when it needs them; own: without, at the end. The first archive holds all of the
speech; larger ones are copies, moved as neighbours differ."""
LIFE = """By the command line, each step in a process of its own; the archives are those of the speed of search. New: an
hour of recordings. Where links stand for files, the catalog alone is written. Memory with pages of files, which the
system takes back, and without: own. An archive is compacted after recordings were removed, and the original merged
with one of the new hour; either writes all of it again."""
ROBUSTNESS = """Terms as above, a sample, the same in every condition; the recordings are changed and indexed anew,
spoken examples stay as they were. Losses are against the clean row, over the same terms. The recordings were MP3 of 24
kbit/s to begin with. The noise recordings were also mixed in in training, the babble, of training speakers, was not;
rooms by the image-source method; the telephone 300 to 3,400 Hz, 8 kHz, mu-law. Silence is digital, and no part of T,
but decisions go by the archive's hours, five times as many then, which ATWV pays for. Before a voice 20 dB louder,
another's and as long, the speech is made so much weaker; hours are twice as many."""
BY_SPEAKER = """Each corpus and each speaker of two minutes or more as a task of its own. MTWV and MAP depend on the
amount of speech: compare FOM. Accents cannot be tested: all non-native speakers of Common Voice and speechocean762 are
in training; test has readers of LibriSpeech only, dev also native speakers of Common Voice, recorded at home."""
FAILURES = """Text terms. A false hit is told by what was said there, by the first kind that holds of: another hit of
the same occurrence; the same sounds; an inflection; all the term's phones inside longer words; within 2 s of a missed
occurrence; nothing said; at most a third of its phones differ; other sounds. The first five are forgiven in the second
line of figures. Misses: no candidate, or said NO behind or above the term's best false hit."""
PROBABILITIES = """Hits by the probability that search gives them, the mean of it and the share that is true; cross
entropy over the hits, 1 for knowing their share alone, and its minimum after the best calibration. Decisions made for
a cost β beside the best single threshold for it; they are made term by term, and so may be the better."""
SPEED = """A token is a mel frame, of 10 ms, or 20 ms in the small networks; shares of the time of training. The span
recipe's epoch is as much speech as the training set has; those of jmcl and adml pass every word type once, that of
plcl draws as many pairs as words are said."""
ABLATION_FIGURES = {
    "jmcl": ("acoustic_ap_IV", "acoustic_ap_OOV", "crossmodal_ap_IV", "crossmodal_ap_OOV"),
    "adml": ("pair_ap", "eer_LP-E_T", "eer_LP-H_T", "auc_LP-E_T", "auc_LP-H_T"),
    "plcl": (
        *(f"eer_{part}_{mode}" for mode in ("T", "A", "TA") for part in ("LP-E", "LP-H")),
        *(f"auc_LP-H_{mode}" for mode in ("T", "A", "TA")),
    ),
}
PUBLISHED_ABLATION = {
    "jmcl": {
        "figure": "acoustic AP IV / OOV",
        "paper": "85.05 / 94.06",
        "clap": "74.83 / 91.68",
        "1-0.1": "78.40 / 72.88",
        "1-0.5": "80.45 / 68.86",
        "1-1": "82.37 / 87.21",
        "0.5-0.1": "84.48 / 91.41",
    },
    "adml": {
        "figure": "AP on WSJ",
        "paper": "90.24",
        "rp": "75.10",
        "rp-proxy-bd": "83.72",
        "rp-proxy-ms": "84.32",
        "rp-clat": "83.59",
        "rp-asyp": "84.42",
        "rp-adams": "85.54",
        "rp-mal": "81.41",
        "adams-mal-phoneme": "86.12",
        "adams-mal": "86.23",
        "adams-mal-triplet": "86.25",
        "adams-mal-aam": "87.44",
    },
    "plcl": {
        "figure": "EER LP-E / LP-H",
        "paper": "TA .57 / 8.47",
        "text": "T 1.21 / 9.96",
        "text-without-hard-negatives": "T 1.71 / 14.08",
        "text-without-memory-bank": "T 2.06 / 14.29",
        "text-without-phoneme-level": "T 5.81 / 21.05",
        "audio": "A 1.80 / 13.94",
        "audio-without-hard-negatives": "A 1.87 / 14.15",
        "audio-without-phoneme-level": "A 1.88 / 16.59",
    },
}

SECTIONS: tuple[tuple[str, str, str, Callable[[Result], str]], ...] = (
    ("std_task_test", "Spoken term detection, test", TASK, std_task),
    ("std_task_test_verified", "Spoken term detection with the verifier, test", VERIFIED, std_task),
    ("std_task_dev", "Spoken term detection, dev", DEV, std_task),
    ("std_task_dev_verified", "Spoken term detection with the verifier, dev", DEV, std_task),
    ("peers_test", "Peers, test", PEERS, peers),
    ("peers_dev", "Peers, dev", DEV, peers),
    ("indexing", "Speed of indexing", "", indexing),
    ("files", "Very long files, very many, telephone", FILES, files),
    ("latency", "Speed of search", LATENCY, latency),
    ("life", "The life of an archive", LIFE, life),
    ("side_by_side", "Other ways, at ten hours", SIDE_BY_SIDE, side_by_side),
    ("slicing_dev", "Fewer slices", SLICING, slicing),
    ("robustness_test", "Search in spoiled audio, test", ROBUSTNESS, robustness),
    ("robustness_dev", "Search in spoiled audio, dev", DEV, robustness),
    ("speakers_test", "Search by speaker, test", BY_SPEAKER, speakers),
    ("speakers_dev", "Search by speaker, dev", DEV, speakers),
    ("failures_test", "What goes wrong, test", FAILURES, failures),
    ("failures_dev", "What goes wrong, dev", DEV, failures),
    ("probabilities_test", "What probabilities are worth, test", PROBABILITIES, probabilities),
    ("probabilities_dev", "What probabilities are worth, dev", DEV, probabilities),
    ("words_test", "Word discrimination, test", "", words),
    ("words_dev", "Word discrimination, dev", "", words),
    ("ablation_jmcl", "JMCL's ablation in small", JMCL_ABLATION, ablation),
    ("ablation_adml", "ADML's ablation in small", ADML_ABLATION, ablation),
    ("ablation_plcl", "PLCL's ablation in small", PLCL_ABLATION, ablation),
    ("training_speed_cpu", "Speed of training", SPEED, training_speed),
    ("vectors", "Kinds of vector index", VECTORS, vectors),
    ("vectors_copies", "The vector index of a larger archive", COPIES, vector_copies),
    ("scoring", "Speed of the scorer", "", scoring),
    ("alignment", "Forced alignment", ALIGNMENT, alignment),
    ("activity", "Speech activity", ACTIVITY, activity),
)
# every results/PREFIX*.json, a system's each, in one table beside published figures
COMPARISONS: tuple[tuple[str, str, str, Callable[[Sequence[Result]], str]], ...] = (
    ("jmcl_words_", "Word discrimination as in JMCL", JMCL, jmcl),
    ("samediff_", "Same-different task on LibriSpeech", SAMEDIFF, samediff),
    ("word_pairs_", "Words by text among fifty wrong pairs, as in ADML", PAIRS, pairs),
    ("libriphrase_", "Phrase pairs as in LibriPhrase", PHRASES, phrases),
)
ABOUT = """# Results

Measured, each with its command, commit and machine; made from results/*.json by `report.py`. The machines are shared
and noisy: ratios within a run say more than seconds."""


def main() -> None:
    """Write RESULTS.md."""
    parts = [ABOUT]
    for name, title, note, render in SECTIONS:
        if results := _results(name):
            parts += [f"## {title}", note, render(results[0]), _about(results[0])]
    for prefix, title, note, compare in COMPARISONS:
        if results := _results(f"{prefix}*"):
            parts += [f"## {title}", note, compare(results), "\n\n".join(map(_about, results))]
    (HERE / "RESULTS.md").write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")


def _results(pattern: str) -> list[Result]:
    paths = sorted((HERE / "results").glob(f"{pattern}.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _about(result: Result) -> str:
    return f"`{result['command']}` at {result['commit']}, {result['machine']}, {result['threads']} threads"


if __name__ == "__main__":
    main()
