"""NIST's own cases: every printed figure of KWSEval, digit by digit, and every row of its alignment."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from stdsearch.formats.ecf import read_ecf
from stdsearch.formats.kwlist import read_kwlist
from stdsearch.formats.kwslist import read_kwslist
from stdsearch.formats.rttm import read_rttm
from stdsearch.metrics import Report, Scores, ScoringSettings, score
from stdsearch.metrics.report import ALIGNMENT_COLUMNS

CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "f4de"
OCCURRENCE = ("test6", "test9_occ", "test3", "std06_10files", "syn_basic", "syn_ties", "syn_dense_ties_2chan")
NOT_PRINTED = "NA"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="NIST's cases are not beside the repository")


def scored(case: str, settings: ScoringSettings | None = None) -> Report:
    folder = CASES / case
    return score(
        read_kwslist(folder / "kwslist.xml"),
        read_ecf(folder / "ecf.xml"),
        read_rttm(folder / "ref.rttm"),
        read_kwlist(folder / "kwlist.xml"),
        settings,
    )


def printed(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def printed_counts(scores: Scores, *names: str) -> list[str]:
    return [str(getattr(scores, name)) for name in names]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def parameters(report: Report) -> dict[str, str]:
    settings, summary = report.settings, report.summary
    return {
        "IncludeBlocksWithNoTargets": str(int(settings.count_terms_without_targets)),
        "TotDur": f"{summary.total_seconds:.15g}",
        "TotTrials": str(summary.trials),
        "BETA": f"{summary.beta:.15g}",
        "Cost": f"{settings.cost:.4f}",
        "Ptarg": f"{settings.prior:.15g}",
        "Value": f"{settings.value:.15g}",
    }


def summary_row(s: Scores) -> list[str]:
    counts = ("terms", "targets", "non_targets", "hits", "correct", "correct_rejected", "false_alarms", "misses")
    return [
        *printed_counts(s, *counts),
        *(printed(s.p_fa, 5), printed(s.p_miss, 3), printed(s.atwv, 4), printed(s.nist_decision_threshold, 4)),
        *(printed(s.mtwv_p_fa, 5), printed(s.mtwv_p_miss, 3), printed(s.mtwv, 4), printed(s.mtwv_threshold, 3)),
        *(printed(s.otwv_p_fa, 5), printed(s.otwv_p_miss, 3), printed(s.otwv, 4), NOT_PRINTED),
        *("0.00000", printed(1 - s.stwv, 3), printed(s.stwv, 4), NOT_PRINTED),
        printed(s.map, 2),
    ]


def term_row(s: Scores, counts: tuple[str, ...]) -> list[str]:
    return [
        *printed_counts(s, *counts),
        *(printed(s.atwv, 4), printed(s.p_fa, 5), printed(s.p_miss, 3)),
        *(printed(s.otwv_p_fa, 5), printed(s.otwv_p_miss, 3), printed(s.otwv, 4), printed(s.mtwv_threshold, 3)),
        *("0.00000", printed(1 - s.stwv, 3), printed(s.stwv, 4), "0.500"),  # F4DE prints a constant threshold
        printed(s.map, 2),
    ]


def expected_tables(case: str) -> tuple[dict[str, str], list[str], dict[str, list[str]]]:
    """NIST's parameters, summary row and row per kwid ("Totals" and "Means" too), as printed."""
    key_values, summary, rows = {}, [], {}
    for line in (CASES / case / "expected.txt").read_text(encoding="utf-8").splitlines():
        columns = cells(line)
        if line.startswith("|  ") and len(columns) == 2:
            key_values[columns[0]] = columns[1]
        elif line.startswith("|") and columns[0] in ("Occurrence", "Segment"):
            summary = columns[1:]
        elif line.startswith(("Keyword ", "Summary ", "         ")) and "|" in line and "MetaData" not in line:
            name = columns[0].removeprefix("Keyword").removeprefix("Summary").strip()
            rows[name] = columns[1:]
    return key_values, summary, rows


def assert_as_printed(report: Report, case: str, counts: tuple[str, ...]) -> None:
    key_values, summary, rows = expected_tables(case)
    assert {name: key_values[name] for name in parameters(report) if name in key_values} == {
        name: value for name, value in parameters(report).items() if name in key_values
    }
    assert summary_row(report.summary)[: len(summary)] == summary

    width = len(rows["Totals"]) - 1
    for term, scores in zip(report.terms, report.per_term, strict=True):
        text, *figures = rows.pop(term.kwid)
        assert text == term.text
        assert figures == (term_row(scores, counts)[:width] if scores.targets else [""] * width), term.kwid

    s = report.summary
    totals = [getattr(s, name) for name in counts]
    assert rows.pop("Totals")[1:][: len(counts)] == [str(total) for total in totals]
    means = rows.pop("Means")[1:]
    assert means[: len(counts)] == [f"{total / s.terms:.0f}" for total in totals]
    rates = [printed(s.p_fa, 5), printed(s.p_miss, 3)]
    assert means[len(counts) + 1 : len(counts) + 3] == rates
    if width > len(counts) + 3:
        optimum, supremum = term_row(s, counts)[len(counts) + 3 :][:3], ["0.00000", *term_row(s, counts)[-4:-2]]
        assert means[len(counts) + 3 :] == [*optimum, "", *supremum, "", printed(s.map, 2)]
    assert rows.pop("TWV")[1:][len(counts)] == printed(s.atwv, 4)
    assert set(rows) <= {"Text", ""}


@needs_cases
@pytest.mark.parametrize("case", OCCURRENCE)
def test_occurrence_figures_are_nists(case):
    assert_as_printed(scored(case), case, ("targets", "correct", "false_alarms", "misses"))


@needs_cases
def test_segment_figures_are_nists():
    report = scored("test9_seg", ScoringSettings(segments=True))
    assert_as_printed(report, "test9_seg", ("targets", "correct", "correct_rejected", "false_alarms", "misses"))


@needs_cases
@pytest.mark.parametrize(
    ("settings", "atwv", "mtwv"),
    [
        (ScoringSettings(segments=True), "0.2757", "0.5363"),
        (ScoringSettings(pooled=True), "-8.6356", "-1.2899"),
        (ScoringSettings(tolerance=0), "-0.1922", "-0.0019"),
        (ScoringSettings(cost=0.01, prior=0.0008), "0.6594", "0.6594"),
    ],
    ids=["segments", "pooled", "tolerance", "MediaEval's beta"],
)
def test_options_give_nists_figures(settings, atwv, mtwv):
    summary = scored("std06_10files", settings).summary
    assert (printed(summary.atwv, 4), printed(summary.mtwv, 4)) == (atwv, mtwv)


def nists_alignment(case: str) -> list[list[str]]:
    with (CASES / case / "alignment.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == ALIGNMENT_COLUMNS
    return rows


def with_numbers(row: Sequence[str]) -> tuple:
    """The row with its times and score as numbers, since F4DE repeats the digits of the file (0.5, 0.500000)."""
    return (*row[:5], *(float(cell) if cell else None for cell in row[5:10]), *row[10:])


@needs_cases
@pytest.mark.parametrize("case", [case for case in OCCURRENCE if case != "syn_dense_ties_2chan"])
def test_alignment_is_nists_row_for_row(case):
    assert Counter(map(with_numbers, scored(case).alignment())) == Counter(map(with_numbers, nists_alignment(case)))


@needs_cases
def test_alignment_is_nists_but_for_exact_ties():
    """Where two pairings weigh exactly the same, KWSEval takes one by Perl's random hash order."""
    case = "syn_dense_ties_2chan"
    ours, nists = (
        Counter(map(with_numbers, scored(case).alignment())),
        Counter(map(with_numbers, nists_alignment(case))),
    )
    differing = [sorted((ours - nists).elements(), key=str), sorted((nists - ours).elements(), key=str)]
    assert [len(rows) for rows in differing] == [12, 12]  # of 9097

    def weights(rows: list[tuple]) -> Counter:
        pairs = [row for row in rows if row[5] is not None and row[7] is not None]
        return Counter((*row[:5], row[9], overlap(row)) for row in pairs)

    def overlap(row: tuple) -> float:
        ref_bt, ref_et, sys_bt, sys_et = row[5:9]
        return round((min(ref_et, sys_et) - max(ref_bt, sys_bt)) / (ref_et - ref_bt), 9)

    assert weights(differing[0]) == weights(differing[1])
    assert Counter((row[3], row[9], row[11]) for row in differing[0]) == Counter(
        (row[3], row[9], row[11]) for row in differing[1]
    )
