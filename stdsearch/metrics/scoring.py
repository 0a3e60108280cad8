"""A system's KWSList against the reference, as NIST's KWSEval scores it: one call for all figures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import ECF
from stdsearch.formats.kwlist import KWList
from stdsearch.formats.kwslist import KWSList
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics import twv
from stdsearch.metrics.alignment import align
from stdsearch.metrics.coverage import Coverage, total_seconds
from stdsearch.metrics.outcomes import Outcomes, ScoredHits, Targets
from stdsearch.metrics.ranking import average_precisions
from stdsearch.metrics.reference import find_occurrences, spoken_words
from stdsearch.metrics.report import Report, Scores, ScoringSettings
from stdsearch.metrics.segments import align_segments, find_segments
from stdsearch.types import Term

MOST_SECONDS = 2.0**53  # beyond, not every second has a number
POOLED = Term("Pooled")
COUNTS = tuple(field.name for field in fields(twv.TermCounts))


@dataclass(frozen=True, slots=True)
class Sources:
    """What errors call the inputs: their paths, if they come from files."""

    kwslist: str = "KWSList"
    ecf: str = "ECF"
    rttm: str = "RTTM"
    kwlist: str = "KWList"


def score(
    kwslist: KWSList,
    ecf: ECF,
    rttm: Sequence[RTTMRow],
    kwlist: KWList,
    settings: ScoringSettings | None = None,
    sources: Sources | None = None,
) -> Report:
    """The figures of the system's hits.

    Raises StdSearchError if the inputs do not fit together: an empty one, a kwid that the KWList lacks, no hit in any
    recording of the ECF, no term that occurs, a condition that nothing meets.
    """
    settings, sources = settings or ScoringSettings(), sources or Sources()
    ecf = _restricted(ecf, settings.source_types, sources)
    terms = _chosen(kwlist.terms, settings.where, sources)
    coverage = Coverage.from_ecf(ecf)
    hits, hits_outside = _scored_hits(kwslist, kwlist, terms, coverage, sources)

    words = spoken_words(rttm, coverage, word_gap=settings.word_gap)
    occurrences = find_occurrences(words, [term.text for term in terms], compare_normalize=kwlist.compare_normalize)
    seconds = total_seconds(ecf)
    if not seconds < MOST_SECONDS:
        raise StdSearchError(f"{sources.ecf}: covers {seconds:g} seconds, more than can be counted; mend its durations")
    if settings.segments:
        segments = find_segments(ecf, rttm, coverage, words)
        outcomes, n_trials = align_segments(hits, occurrences, segments), len(segments)
    else:
        first, last = occurrences.first, occurrences.last
        inside = coverage.holds(words.channel[first], words.tbeg[first], words.tend[first])
        targets = Targets(occurrences.term, words.channel[first], words.tbeg[first], words.tend[last]).take(inside)
        hits = hits.take(coverage.holds(hits.channel, hits.tbeg, hits.tend))
        least, greatest = kwslist.min_score, kwslist.max_score
        score_range = None if least is None or greatest is None else (least, greatest)
        outcomes = align(hits, targets, tolerance=settings.tolerance, score_range=score_range)
        n_trials = round(seconds)

    trials = _trials(outcomes, terms, n_trials, settings, sources)
    summary, per_term = figures(trials, settings.beta, seconds)
    return Report(
        summary=summary,
        terms=(POOLED,) if settings.pooled else terms,
        per_term=per_term,
        settings=settings,
        hits_outside=hits_outside,
        trials=trials,
        outcomes=outcomes,
        searched=terms,
        channels=tuple(coverage.channels),
        language=kwlist.language,
    )


def _restricted(ecf: ECF, source_types: tuple[str, ...], sources: Sources) -> ECF:
    """The ECF's excerpts of the source types asked for."""
    if not ecf.excerpts:
        raise StdSearchError(f"{sources.ecf}: holds no excerpt, so there is nothing to score on")
    if not source_types:
        return ecf
    asked = {name.lower() for name in source_types}
    excerpts = tuple(excerpt for excerpt in ecf.excerpts if excerpt.source_type.lower() in asked)
    if not excerpts:
        there = ", ".join(sorted({excerpt.source_type for excerpt in ecf.excerpts}))
        raise StdSearchError(f"{sources.ecf}: no excerpt of source type {', '.join(source_types)}; it has {there}")
    return replace(ecf, excerpts=excerpts)


def _chosen(terms: tuple[Term, ...], where: tuple[tuple[str, str], ...], sources: Sources) -> tuple[Term, ...]:
    """The terms whose attributes meet every condition."""
    if not terms:
        raise StdSearchError(f"{sources.kwlist}: holds no term, so there is nothing to score")
    for name, pattern in where:
        if not any(name in term.attributes for term in terms):
            there = ", ".join(sorted({key for term in terms for key in term.attributes})) or "none at all"
            raise StdSearchError(f"{sources.kwlist}: no term has the attribute {name!r}; the attributes are {there}")
        terms = tuple(t for t in terms if name in t.attributes and re.search(pattern, t.attributes[name]))
    if not terms:
        asked = " and ".join(f"{name}={pattern}" for name, pattern in where)
        raise StdSearchError(f"{sources.kwlist}: no term meets {asked}")
    return terms


def _scored_hits(
    kwslist: KWSList, kwlist: KWList, terms: tuple[Term, ...], coverage: Coverage, sources: Sources
) -> tuple[ScoredHits, int]:
    """The hits of the terms in the channels of the ECF, and how many lie outside of these."""
    known = {term.kwid for term in kwlist.terms}
    for detected in kwslist.detected:
        if detected.kwid not in known:
            raise StdSearchError(
                f'{sources.kwslist}: the kwid "{detected.kwid}" is not in {sources.kwlist}; score with the KWList that'
                " the system searched for"
            )
    number = {term.kwid: place for place, term in enumerate(terms)}
    lists = [(number[detected.kwid], detected.hits) for detected in kwslist.detected if detected.kwid in number]
    if not any(len(detected.hits) for detected in kwslist.detected):
        raise StdSearchError(f"{sources.kwslist}: holds no hit, so there is nothing to score")

    def column(values: list[np.ndarray], dtype: type) -> np.ndarray:
        return np.concatenate([np.empty(0, dtype), *values])

    hits = ScoredHits(
        term=np.repeat([term for term, _ in lists], [len(found) for _, found in lists]).astype(np.int64),
        channel=column([coverage.number(found.file, found.channel) for _, found in lists], np.int64),
        tbeg=column([found.tbeg for _, found in lists], np.float64),
        dur=column([found.dur for _, found in lists], np.float64),
        score=column([found.score for _, found in lists], np.float64),
        accepted=column([found.decision for _, found in lists], np.bool_),
    )
    inside = hits.channel >= 0
    if len(hits) and not inside.any():
        file = next(str(found.file[0]) for _, found in lists if len(found))
        example = next(iter(coverage.channels))[0]
        raise StdSearchError(
            f"{sources.kwslist}: no hit lies in a recording and channel of {sources.ecf}; compare the names,"
            f" here {file!r}, there {example!r}"
        )
    return hits.take(inside), int((~inside).sum())


def _trials(
    outcomes: Outcomes, terms: tuple[Term, ...], n_trials: int, settings: ScoringSettings, sources: Sources
) -> twv.Trials:
    """The trials to count, refused if they give no figure."""
    n_targets = np.bincount(outcomes.term[outcomes.is_target], minlength=len(terms))
    if not n_targets.any():
        raise StdSearchError(f"{sources.rttm}: none of the {len(terms)} terms occurs where {sources.ecf} covers it")
    if settings.pooled:
        n_targets = n_targets.sum(keepdims=True)
    if n_targets.max() > n_trials:
        raise StdSearchError(
            f"{sources.ecf}: {n_trials} trials are too few for {n_targets.max()} targets; score on more speech"
        )
    trials = twv.Trials.from_outcomes(
        outcomes, n_terms=len(terms), n_trials=n_trials, count_absent=settings.count_terms_without_targets
    )
    return trials.pooled() if settings.pooled else trials


def figures(trials: twv.Trials, beta: float, seconds: float) -> tuple[Scores, tuple[Scores, ...]]:
    """The figures over all terms that count, and those of each term."""
    counts = twv.count(trials)
    actual, optimum, supremum = twv.actual(trials, beta), twv.optimum(trials, beta), twv.supremum(trials)
    precision = average_precisions(trials)
    per_term = {
        **{name: getattr(counts, name) for name in COUNTS},
        "p_fa": actual.p_fa,
        "p_miss": actual.p_miss,
        "atwv": actual.value,
        "decision_threshold": actual.threshold,
        "nist_decision_threshold": _nist_threshold(trials, trials.term, len(trials.n_targets)),
        "mtwv": optimum.value,
        "mtwv_p_fa": optimum.p_fa,
        "mtwv_p_miss": optimum.p_miss,
        "mtwv_threshold": optimum.threshold,
        "otwv": optimum.value,
        "otwv_p_fa": optimum.p_fa,
        "otwv_p_miss": optimum.p_miss,
        "stwv": supremum.value,
        "map": precision,
    }
    common: dict[str, Any] = {"total_seconds": seconds, "trials": trials.n_trials, "beta": beta}
    rows = zip(*(np.asarray(column).tolist() for column in per_term.values()), strict=True)
    each = tuple(Scores(terms=1, **_defined(dict(zip(per_term, row, strict=True))), **common) for row in rows)

    atwv, otwv = twv.over_terms(trials, actual, beta), twv.over_terms(trials, optimum, beta)
    mtwv = twv.maximum(twv.sweep(trials), beta)
    lowest_yes = trials.score[trials.accepted].min(initial=np.inf)
    summary = {
        "p_fa": atwv.p_fa,
        "p_miss": atwv.p_miss,
        "atwv": atwv.value,
        "decision_threshold": lowest_yes if np.isfinite(lowest_yes) else np.nan,
        "nist_decision_threshold": _nist_threshold(trials, np.zeros_like(trials.term), 1)[0],
        "mtwv": mtwv.value,
        "mtwv_p_fa": mtwv.p_fa,
        "mtwv_p_miss": mtwv.p_miss,
        "mtwv_threshold": mtwv.threshold,
        "otwv": otwv.value,
        "otwv_p_fa": otwv.p_fa,
        "otwv_p_miss": otwv.p_miss,
        "stwv": twv.over_terms(trials, supremum, beta).value,
        "map": np.mean(precision[trials.occurs]),
    }
    totals: dict[str, Any] = {name: int(getattr(counts, name)[trials.evaluated].sum()) for name in COUNTS}
    overall = {name: float(figure) for name, figure in summary.items()}
    return Scores(terms=int(trials.evaluated.sum()), **totals, **_defined(overall), **common), each


def _nist_threshold(trials: twv.Trials, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Halfway between the lowest YES and the highest NO of each group, or the one there is; NaN if they cross."""
    yes, no = np.full(n_groups, np.inf), np.full(n_groups, -np.inf)
    np.minimum.at(yes, group[trials.accepted], trials.score[trials.accepted])
    np.maximum.at(no, group[~trials.accepted], trials.score[~trials.accepted])
    yes, no = np.where(np.isinf(yes), no, yes), np.where(np.isinf(no), yes, no)
    threshold = np.full(n_groups, np.nan)
    agree = (no <= yes) & np.isfinite(yes)
    threshold[agree] = (yes[agree] + no[agree]) / 2
    return threshold


def _defined(values: dict[str, Any]) -> dict[str, Any]:
    """The values with None for NaN."""
    return {name: None if figure != figure else figure for name, figure in values.items()}
