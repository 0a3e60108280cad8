"""How `stdsearch score` shows its reports: tables on a terminal, tab-separated values in a pipe, or JSON.

Figures have the decimals that NIST prints them with.
"""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stdsearch.cli.text import cell
from stdsearch.metrics.bootstrap import MEASURES, Interval
from stdsearch.metrics.report import Report, Scores
from stdsearch.metrics.scoring import figures
from stdsearch.types import Term

ALL = "ALL"
VOCABULARIES = ("IV", "OOV")
DECIMALS = {
    **dict.fromkeys(("p_fa", "mtwv_p_fa", "otwv_p_fa"), 5),
    **dict.fromkeys(("p_miss", "mtwv_p_miss", "otwv_p_miss", "mtwv_threshold", "total_seconds"), 3),
    **dict.fromkeys(("atwv", "mtwv", "otwv", "stwv", "decision_threshold", "nist_decision_threshold"), 4),
    "map": 2,
}
SUMMARY_ROWS = {
    "terms": "terms",
    "targets": "targets",
    "hits": "hits",
    "correct": "correct",
    "false_alarms": "false alarms",
    "misses": "misses",
    "correct_rejected": "false hits said NO",
    "p_fa": "P(false alarm)",
    "p_miss": "P(miss)",
    "decision_threshold": "lowest score said YES",
    "atwv": "ATWV",
    "mtwv": "MTWV",
    "mtwv_threshold": "  at threshold",
    "otwv": "OTWV",
    "stwv": "STWV",
    "map": "MAP",
    "total_seconds": "seconds",
    "trials": "trials",
    "beta": "β",
}
TERM_COLUMNS = {
    "targets": "targ",
    "correct": "corr",
    "false_alarms": "FA",
    "misses": "miss",
    "p_fa": "P(FA)",
    "p_miss": "P(miss)",
    "atwv": "TWV",
    "otwv": "OTWV",
    "mtwv_threshold": "at",
    "stwv": "STWV",
    "map": "AP",
}
ON_WIDE_TERMINALS = ("p_fa", "p_miss", "mtwv_threshold", "stwv")
WIDE = 110  # characters


@dataclass(frozen=True, slots=True)
class Comparison:
    """One or two systems' reports by name; their intervals, and those of the first less the second, if drawn."""

    reports: Mapping[str, Report]
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    difference: Mapping[str, Interval] = field(default_factory=dict)


def print_report(comparison: Comparison) -> None:
    """Print tables on a terminal, tab-separated values elsewhere."""
    if sys.stdout.isatty():
        print_tables(comparison, Console())
    else:
        csv.writer(sys.stdout, delimiter="\t", lineterminator="\n").writerows(tab_separated(comparison))


def print_tables(comparison: Comparison, console: Console) -> None:
    """Print the summary, then the terms, worst first, in and out of vocabulary apart where the KWList tells them."""
    console.print(_summary_table(comparison))
    if len(comparison.reports) == 2:
        console.print(_comparison_table(*comparison.reports.items()))
        return
    (report,) = comparison.reports.values()
    for vocabulary in (*VOCABULARIES, ""):
        rows = [(t, s) for t, s in _worst_first(report) if vocabulary_of(t) == vocabulary]
        if rows:
            console.print(_term_table(rows, vocabulary, wide=console.width >= WIDE))


def tab_separated(comparison: Comparison) -> Iterator[list[str]]:
    """A header, then for each system its summary, those of its vocabularies, and its terms, worst first."""
    names = [column.name for column in fields(Scores)]
    bounds = [f"{measure}_{end}" for measure in MEASURES for end in ("low", "high")] if comparison.intervals else []
    yield ["system", "kwid", "term", "vocabulary", *names, *bounds]
    for system, report in comparison.reports.items():
        ends = _ends(comparison.intervals[system]) if comparison.intervals else []
        yield [system, ALL, "", "", *(shown(n, getattr(report.summary, n)) for n in names), *ends]
        for vocabulary, scores in by_vocabulary(report).items():
            yield [system, ALL, "", vocabulary, *(shown(n, getattr(scores, n)) for n in names), *([""] * len(bounds))]
        for term, scores in _worst_first(report):
            row = [shown(n, getattr(scores, n)) for n in names]
            yield [system, term.kwid, term.text, vocabulary_of(term), *row, *([""] * len(bounds))]
    if comparison.difference:
        first, second = (report.summary for report in comparison.reports.values())
        gained = {name: _difference(getattr(first, name), getattr(second, name)) for name in MEASURES}
        yield ["difference", ALL, "", "", *(shown(n, gained.get(n)) for n in names), *_ends(comparison.difference)]


def to_json(comparison: Comparison) -> str:
    """One object: summary, terms and conditions of the first system; intervals and the other system where asked for."""
    (name, report), *others = comparison.reports.items()
    page = _as_json(name, report, comparison)
    for other_name, other in others:
        page["compared_with"] = _as_json(other_name, other, comparison)
        page["difference"] = {
            measure: {
                "value": _difference(getattr(report.summary, measure), getattr(other.summary, measure)),
                **(asdict(comparison.difference[measure]) if comparison.difference else {}),
            }
            for measure in MEASURES
        }
    return json.dumps(page, ensure_ascii=False, allow_nan=False)


def _as_json(name: str, report: Report, comparison: Comparison) -> dict[str, Any]:
    page = report.to_json()
    page["conditions"]["system"] = name
    page["conditions"]["vocabulary"] = {kind: asdict(scores) for kind, scores in by_vocabulary(report).items()}
    if name in comparison.intervals:
        page["intervals"] = {measure: asdict(ends) for measure, ends in comparison.intervals[name].items()}
    return page


def shown(name: str, value: float | int | None) -> str:
    """The figure as NIST prints it; nothing where it is undefined.

    >>> shown("p_fa", 0.000331), shown("targets", 12), shown("atwv", None), shown("beta", 999.9000000000001)
    ('0.00033', '12', '', '999.9')
    """
    if value is None:
        return ""
    return f"{value:.{DECIMALS[name]}f}" if name in DECIMALS else f"{value:.10g}"


def vocabulary_of(term: Term) -> str:
    """IV or OOV if an attribute of the term says so (in any letter case), else nothing.

    >>> vocabulary_of(Term("KW-1", "visit", {"Vocabulary": "oov"}))
    'OOV'
    """
    return next((value.upper() for value in term.attributes.values() if value.upper() in VOCABULARIES), "")


def by_vocabulary(report: Report) -> dict[str, Scores]:
    """The figures over the terms in and out of vocabulary, for each that holds a term that occurs."""
    summaries = {}
    kinds = np.array([vocabulary_of(term) for term in report.terms])
    for vocabulary in VOCABULARIES:
        trials = report.trials.of_terms(kinds == vocabulary)
        if trials.occurs.any():
            summaries[vocabulary] = figures(trials, report.summary.beta, report.summary.total_seconds)[0]
    return summaries


def _worst_first(report: Report) -> list[tuple[Term, Scores]]:
    """The terms with their figures by TWV; those without targets last."""
    rows = zip(report.terms, report.per_term, strict=True)
    return sorted(rows, key=lambda row: (row[1].atwv is None, row[1].atwv or 0.0, row[0].kwid))


def _summary_table(comparison: Comparison) -> Table:
    table = Table(title="Summary", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    columns: dict[str, Scores] = {}
    for system, report in comparison.reports.items():
        columns[system] = report.summary
        columns |= {f"{system} {kind}": scores for kind, scores in by_vocabulary(report).items()}
    for name in columns:
        table.add_column(cell(name), justify="right")
    if comparison.difference:
        table.add_column("difference", justify="right")
    for name, label in SUMMARY_ROWS.items():
        row = [shown(name, getattr(scores, name)) for scores in columns.values()]
        for place, system in enumerate(columns):
            if name in comparison.intervals.get(system, {}):
                row[place] += _range(name, comparison.intervals[system][name])
        if name in comparison.difference:
            first, second = (getattr(report.summary, name) for report in comparison.reports.values())
            row.append(shown(name, _difference(first, second)) + _range(name, comparison.difference[name]))
        table.add_row(label, *row, style="bold" if name in ("atwv", "mtwv") else None)
    return table


def _term_table(rows: list[tuple[Term, Scores]], vocabulary: str, *, wide: bool) -> Table:
    names = {"IV": "Terms in vocabulary", "OOV": "Terms out of vocabulary", "": "Terms"}
    columns = {name: label for name, label in TERM_COLUMNS.items() if wide or name not in ON_WIDE_TERMINALS}
    table = Table(title=f"{names[vocabulary]}, worst first", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("kwid", no_wrap=True)
    table.add_column("term")
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for term, scores in rows:
        cells = [shown(name, getattr(scores, name)) if scores.targets else "" for name in columns]
        table.add_row(cell(term.kwid), cell(term.text), *cells, style=None if scores.targets else "dim")
    return table


def _comparison_table(first: tuple[str, Report], second: tuple[str, Report]) -> Table:
    (first_name, report), (second_name, other) = first, second
    title = f"Terms, by what {cell(first_name)} loses against {cell(second_name)}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("kwid", "term", "targets", first_name, second_name, "difference"):
        table.add_column(cell(heading), justify="left" if heading in ("kwid", "term") else "right")
    rows = [
        (_difference(ours.atwv, theirs.atwv), term, ours, theirs)
        for term, ours, theirs in zip(report.terms, report.per_term, other.per_term, strict=True)
    ]
    rows.sort(key=lambda row: (row[0] is None, row[0] or 0.0, row[1].kwid))
    for difference, term, ours, theirs in rows:
        values = [shown("atwv", value) for value in (ours.atwv, theirs.atwv, difference)]
        table.add_row(
            cell(term.kwid), cell(term.text), str(ours.targets), *values, style=None if ours.targets else "dim"
        )
    return table


def _ends(intervals: Mapping[str, Interval]) -> list[str]:
    return [shown(name, end) for name in MEASURES for end in (intervals[name].low, intervals[name].high)]


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _range(name: str, interval: Interval) -> str:
    return "" if interval.low is None else f" [{shown(name, interval.low)}, {shown(name, interval.high)}]"
