"""`stdsearch score`: a system's hits against the reference, in NIST's figures."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stdsearch.cli.text import counted

if TYPE_CHECKING:
    from rich.progress import Progress

    from stdsearch.cli.score_tables import Comparison
    from stdsearch.formats.normalize import CharacterSplit
    from stdsearch.metrics import Report, ScoringSettings

COMPARE_RESAMPLES = 1000


@click.command()
@click.argument("kwslist", metavar="KWSLIST")
@click.option("--ecf", required=True, metavar="FILE", help="Which stretches of which recordings count.")
@click.option("--rttm", required=True, metavar="FILE", help="The reference: who said which word when.")
@click.option("--kwlist", required=True, metavar="FILE", help="The terms searched for.")
@click.option("--cost", default=0.1, show_default=True, help="Cost of a false alarm.")
@click.option("--value", default=1.0, show_default=True, help="Value of a correct detection.")
@click.option("--prior", default=1e-4, show_default=True, help="Probability of a term; gives β with cost and value.")
@click.option(
    "--tolerance", default=0.5, show_default=True, metavar="SECONDS", help="How far off a hit's middle may be."
)
@click.option("--word-gap", default=0.5, show_default=True, metavar="SECONDS", help="Longest pause within a term.")
@click.option("--count-terms-without-targets", is_flag=True, help="Average P_fa over terms that never occur, too.")
@click.option("--pooled", is_flag=True, help="Take all terms as one.")
@click.option("--segments", is_flag=True, help="Score speaker turns and pauses instead of occurrences.")
@click.option("--source-type", multiple=True, metavar="TYPE", help="Excerpts of this type only; may be repeated.")
@click.option(
    "--where-term", multiple=True, metavar="NAME=REGEX", help="Terms with this in an attribute only; repeat: and."
)
@click.option("--ignore-case", is_flag=True, help="Compare words in lower case, whatever the KWList says.")
@click.option("--split-characters", is_flag=True, help="Compare character by character (Chinese, Japanese, Thai).")
@click.option("--keep-ascii-words", is_flag=True, help="With --split-characters: leave ASCII words whole.")
@click.option("--delete-hyphens", is_flag=True, help="With --split-characters: take hyphens for spaces.")
@click.option("--det", metavar="FILE", help="Write the DET curve: .png or .svg to look at, .csv for its points.")
@click.option("--alignment", metavar="FILE.csv", help="Write what became of each hit and occurrence.")
@click.option("--compare", metavar="OTHER_KWSLIST", help="Score another system beside this one.")
@click.option(
    "--bootstrap", type=click.IntRange(0), metavar="N",
    help=f"Draws of terms for 95 % intervals [default: {COMPARE_RESAMPLES} with --compare, else none].",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draws.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def score(
    kwslist: str,
    ecf: str,
    rttm: str,
    kwlist: str,
    cost: float,
    value: float,
    prior: float,
    tolerance: float,
    word_gap: float,
    count_terms_without_targets: bool,
    pooled: bool,
    segments: bool,
    source_type: tuple[str, ...],
    where_term: tuple[str, ...],
    ignore_case: bool,
    split_characters: bool,
    keep_ascii_words: bool,
    delete_hyphens: bool,
    det: str | None,
    alignment: str | None,
    compare: str | None,
    bootstrap: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Score the hits in KWSLIST as NIST's KWSEval does: ATWV, MTWV and their kin, over all terms and for each.

    A table on a terminal, tab-separated values in a pipe. Hits outside the ECF's excerpts are left out.
    docs/twv.md explains the figures.
    """
    from stdsearch.cli.progress import bars
    from stdsearch.cli.score_tables import print_report, to_json
    from stdsearch.formats.normalize import CharacterSplit
    from stdsearch.metrics import ScoringSettings

    if (keep_ascii_words or delete_hyphens) and not split_characters:
        raise click.UsageError("--keep-ascii-words and --delete-hyphens go with --split-characters")
    if pooled and bootstrap:
        raise click.UsageError("--bootstrap draws terms, of which --pooled makes one: give one of them")
    if det is not None and not det.lower().endswith((".png", ".svg", ".csv")):
        raise click.UsageError(f"--det {det}: the file must end in .png, .svg or .csv")
    try:
        settings = ScoringSettings(
            cost=cost,
            value=value,
            prior=prior,
            tolerance=tolerance,
            word_gap=word_gap,
            count_terms_without_targets=count_terms_without_targets,
            pooled=pooled,
            segments=segments,
            source_types=source_type,
            where=tuple(map(_condition, where_term)),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    split = CharacterSplit(whole_ascii_words=keep_ascii_words, delete_hyphens=delete_hyphens)
    kwslists = [kwslist] if compare is None else [kwslist, compare]
    resamples = bootstrap if bootstrap is not None else 0 if compare is None or pooled else COMPARE_RESAMPLES

    with bars() as progress:
        reports = _reports(
            kwslists, ecf, rttm, kwlist, settings, progress, split if split_characters else None, ignore_case
        )
        comparison = _compared(reports, resamples, seed, progress)
    if det is not None:
        _write_det(reports, det)
    if alignment is not None:
        _write_alignment(next(iter(reports.values())), alignment)
    for name, report in reports.items():
        if report.hits_outside:
            _note(f"{name}: left out {counted(report.hits_outside, 'hit')} in no channel of {ecf}")
    if as_json:
        click.echo(to_json(comparison))
    else:
        print_report(comparison)


def _condition(text: str) -> tuple[str, str]:
    """The attribute name and the regular expression of a --where-term."""
    name, sign, pattern = text.partition("=")
    if not (name and sign):
        raise click.UsageError(f"--where-term {text!r}: write it as NAME=REGEX")
    try:
        re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"--where-term {text!r}: not a regular expression ({error})") from error
    return name, pattern


def _reports(
    kwslists: list[str],
    ecf_path: str,
    rttm_path: str,
    kwlist_path: str,
    settings: "ScoringSettings",
    progress: "Progress",
    split: "CharacterSplit | None",
    ignore_case: bool,
) -> dict[str, "Report"]:
    """What each system scored, by its name."""
    from stdsearch.cli.text import cell
    from stdsearch.formats.ecf import read_ecf
    from stdsearch.formats.kwlist import read_kwlist
    from stdsearch.formats.kwslist import read_kwslist
    from stdsearch.formats.rttm import read_rttm
    from stdsearch.metrics import Sources, score
    from stdsearch.metrics.coverage import names_apart

    steps = progress.add_task("Reading the reference", total=1 + 2 * len(kwslists))
    ecf, kwlist, rttm = read_ecf(ecf_path), read_kwlist(kwlist_path), read_rttm(rttm_path)
    only_rttm, only_ecf = names_apart(ecf, rttm)
    if only_rttm:
        _note(f"{rttm_path}: left out {counted(len(only_rttm), 'recording')} not in {ecf_path}, first {only_rttm[0]!r}")
    if only_ecf:
        _note(
            f"{ecf_path}: {counted(len(only_ecf), 'recording')} without a row in {rttm_path}, first {only_ecf[0]!r}; "
            "every YES there is a false alarm"
        )
    if split is not None:
        kwlist, rttm = split.kwlist(kwlist), split.transcript(rttm)
    if ignore_case:
        kwlist = replace(kwlist, compare_normalize="lowercase")

    reports: dict[str, Report] = {}
    for path in kwslists:
        progress.update(steps, advance=1, description=f"Reading {cell(path)}")
        kwslist = read_kwslist(path)
        progress.update(steps, advance=1, description=f"Scoring {cell(path)}")
        sources = Sources(kwslist=path, ecf=ecf_path, rttm=rttm_path, kwlist=kwlist_path)
        name = kwslist.system_id or Path(path).name
        reports[f"{name} ({path})" if name in reports else name] = score(kwslist, ecf, rttm, kwlist, settings, sources)
    progress.remove_task(steps)
    return reports


def _note(text: str) -> None:
    click.echo(f"stdsearch: {text}", err=True)


def _compared(reports: dict[str, "Report"], resamples: int, seed: int, progress: "Progress") -> "Comparison":
    """The reports with their intervals, and with the difference if there are two; without draws, without intervals."""
    from stdsearch.cli.score_tables import Comparison
    from stdsearch.metrics.bootstrap import BootstrapSettings, difference_intervals, intervals

    if not resamples:
        return Comparison(reports)
    settings = BootstrapSettings(n_resamples=resamples, seed=seed)
    steps = progress.add_task("Drawing terms", total=resamples * (2 * len(reports) - 1))

    def advance() -> None:
        progress.advance(steps)

    each = {
        name: intervals(report.trials, report.settings.beta, settings, progress=advance)
        for name, report in reports.items()
    }
    if len(reports) == 1:
        return Comparison(reports, each)
    first, other = reports.values()
    difference = difference_intervals(first.trials, other.trials, first.settings.beta, settings, progress=advance)
    return Comparison(reports, each, difference)


def _write_det(reports: dict[str, "Report"], path: str) -> None:
    from stdsearch.metrics.det import det_curve, plot_det, write_det_csv

    curves = [det_curve(report, name) for name, report in reports.items()]
    (write_det_csv if path.lower().endswith(".csv") else plot_det)(curves, path)


def _write_alignment(report: "Report", path: str) -> None:
    from stdsearch.formats.source import open_output
    from stdsearch.metrics.report import ALIGNMENT_COLUMNS

    with open_output(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(ALIGNMENT_COLUMNS)
        writer.writerows(report.alignment())
