"""Detection error tradeoff: P_miss against P_fa over all thresholds, on probit axes, where normal scores give lines.

Source: Martin, Doddington, Kamm, Ordowski and Przybocki, "The DET curve in assessment of detection task performance",
Eurospeech 1997. Rates are averaged over terms, as for MTWV.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_output
from stdsearch.metrics.report import Report
from stdsearch.metrics.twv import Sweep, sweep, term_value

CSV_COLUMNS = ("system", "threshold", "p_miss", "p_fa", "twv")
PERCENT_TICKS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99, 99.5, 99.9),
)
ISO_VALUES = (-4.0, -2.0, -1.0, 0.0, 0.2, 0.4, 0.6, 0.8)
LEAST_RATE = 1e-7  # a rate of 0 has no place on a probit axis
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito: told apart by all eyes


@dataclass(frozen=True, slots=True)
class DETCurve:
    """One system's curve, and the points of its ATWV and MTWV as (P_fa, P_miss, value)."""

    system: str
    curve: Sweep
    actual: tuple[float, float, float]
    maximum: tuple[float, float, float] | None
    beta: float


def det_curve(report: Report, system: str) -> DETCurve:
    """The curve of the system that the report is on; raises StdSearchError if its rates are undefined."""
    s = report.summary
    if s.p_fa is None or s.p_miss is None or s.atwv is None:
        raise StdSearchError(f"{system}: has no false alarm probability, every trial being a target; leave --det out")
    maximum = None
    if s.mtwv_p_fa is not None and s.mtwv_p_miss is not None and s.mtwv is not None:
        maximum = (s.mtwv_p_fa, s.mtwv_p_miss, s.mtwv)
    return DETCurve(system, sweep(report.trials), (s.p_fa, s.p_miss, s.atwv), maximum, s.beta)


def write_det_csv(curves: Sequence[DETCurve], path: str | Path) -> None:
    """Write every point of the curves, highest threshold first."""
    with open_output(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for det in curves:
            points = det.curve
            value = term_value(points.p_miss, points.p_fa, det.beta)
            columns = (points.threshold, points.p_miss, points.p_fa, value)
            writer.writerows([det.system, *row] for row in zip(*(c.tolist() for c in columns), strict=True))


def plot_det(curves: Sequence[DETCurve], path: str | Path) -> None:
    """Draw the curves, their ATWV and MTWV points and the lines of equal TWV, as PNG or SVG by the file's ending.

    Raises StdSearchError if matplotlib is not installed or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise StdSearchError(
            f"{path}: drawing needs matplotlib; install it with pip install 'stdsearch[plot]', or write a .csv file"
        ) from error
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    shown = [(det, det.curve.p_fa > 0) for det in curves]
    false_alarms = np.concatenate([[det.actual[0] for det in curves], *(det.curve.p_fa[keep] for det, keep in shown)])
    misses = np.concatenate([[det.actual[1] for det in curves], *(det.curve.p_miss[keep] for det, keep in shown)])
    left, right = _limits(false_alarms)
    bottom, top = _limits(misses)

    line = np.linspace(left, right, 4000)
    for value in ISO_VALUES:
        miss = 1 - value - curves[0].beta * ndtr(line)
        visible = (miss > ndtr(bottom)) & (miss < ndtr(top))
        if visible.any():
            axes.plot(line[visible], probit(miss[visible]), color="0.8", linewidth=0.7, zorder=1)
            at = np.flatnonzero(visible)[0]
            axes.annotate(
                f"{value:g}", (line[at], probit(miss[at])), xytext=(2, -7), textcoords="offset points",
                fontsize=6.5, color="0.5",
            )  # fmt: skip
    for number, (det, keep) in enumerate(shown):
        colour = COLOURS[number % len(COLOURS)]
        x, y = probit(det.curve.p_fa[keep]), probit(det.curve.p_miss[keep])
        axes.step(x, y, where="post", color=colour, linewidth=1.3, zorder=2, label=det.system)
        for marker, name, point in (("o", "ATWV", det.actual), ("D", "MTWV", det.maximum)):
            if point is None:
                continue
            p_fa, p_miss, value = point
            at = np.clip(probit(p_fa), left, right), np.clip(probit(p_miss), bottom, top)  # a P_fa of 0 lies outside
            axes.plot(
                *at, marker, color=colour, markersize=5, markeredgecolor="white", zorder=3, linestyle="none",
                label=f"{name} {value:.4f}", clip_on=False,
            )  # fmt: skip

    ticks = np.array(PERCENT_TICKS)
    labels = [f"{tick:g}" for tick in PERCENT_TICKS]
    axes.set_xticks(probit(ticks / 100), labels, fontsize=7, rotation=45)
    axes.set_yticks(probit(ticks / 100), labels, fontsize=7)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.grid(color="0.93", linewidth=0.5, zorder=0)
    axes.set_xlabel("False alarm probability (%)")
    axes.set_ylabel("Miss probability (%)")
    axes.set_title(f"Detection error tradeoff; grey: equal TWV at β = {curves[0].beta:g}", fontsize=8.5)
    axes.legend(fontsize=7, framealpha=0.9, edgecolor="none")
    try:
        figure.savefig(path, dpi=300)
    except OSError as error:
        raise StdSearchError(f"{path}: cannot be written ({error.strerror or error})") from error


def probit(rate: np.ndarray | float) -> np.ndarray:
    """Where a rate stands on a probit axis: the normal quantile, kept finite."""
    quantile: np.ndarray = ndtri(np.clip(rate, LEAST_RATE, 1 - LEAST_RATE))
    return quantile


def _limits(rates: np.ndarray) -> tuple[float, float]:
    """The ends of an axis that shows all the rates, with some room."""
    places = probit(rates)
    room = max(0.05 * float(np.ptp(places)), 0.1)
    return float(places.min()) - room, float(places.max()) + room
