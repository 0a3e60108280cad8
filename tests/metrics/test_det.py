import builtins
import csv
from dataclasses import replace

import numpy as np
import pytest

from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.formats.kwlist import KWList
from stdsearch.formats.kwslist import DetectedTerm, Hits, KWSList
from stdsearch.formats.rttm import RTTMRow
from stdsearch.metrics import score
from stdsearch.metrics.det import DETCurve, det_curve, plot_det, probit, write_det_csv
from stdsearch.metrics.twv import Sweep
from stdsearch.types import Hit, Term

CURVE = DETCurve(
    "mine",
    Sweep(np.array([0.9, 0.5, 0.1]), np.array([0.8, 0.4, 0.2]), np.array([0.0, 1e-4, 1e-3])),
    actual=(1e-4, 0.4, 0.5),
    maximum=(1e-4, 0.4, 0.5),
    beta=999.9,
)


def test_csv_holds_every_point(tmp_path):
    write_det_csv([CURVE], tmp_path / "det.csv")
    with (tmp_path / "det.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["system", "threshold", "p_miss", "p_fa", "twv"]
    assert [row[0] for row in rows] == ["mine"] * 3
    np.testing.assert_allclose([float(row[4]) for row in rows], [0.2, 0.6 - 0.09999, 0.8 - 0.9999])


def test_svg_names_the_systems_and_their_points(tmp_path):
    other = DETCurve("theirs", CURVE.curve, CURVE.actual, None, CURVE.beta)
    plot_det([CURVE, other], tmp_path / "det.svg")
    assert (tmp_path / "det.svg").read_text(encoding="utf-8").count("<path") > 20
    plot_det([CURVE], tmp_path / "det.png")
    assert (tmp_path / "det.png").read_bytes().startswith(b"\x89PNG")


def test_a_faultless_system_can_be_drawn(tmp_path):
    perfect = DETCurve("", Sweep(*(np.array([x]) for x in (0.5, 0.0, 0.0))), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), 999.9)
    plot_det([perfect], tmp_path / "det.svg")


@pytest.mark.filterwarnings("error")
def test_a_best_point_without_false_alarms_stands_at_the_edge(tmp_path):
    from matplotlib.axes import Axes

    at = []
    with pytest.MonkeyPatch.context() as patch:
        plot = Axes.plot
        patch.setattr(Axes, "plot", lambda axes, x, y, *rest, **kw: at.append((x, y)) or plot(axes, x, y, *rest, **kw))
        plot_det([replace(CURVE, maximum=(0.0, 0.8, 0.2))], tmp_path / "det.svg")
    (x, y) = at[-1]
    assert probit(1e-4) - 1 < x < probit(1e-4)
    assert y == pytest.approx(probit(0.4), abs=0.2)  # the curve's points without false alarms are not drawn


def test_rates_that_are_undefined_are_told():
    hits = Hits.from_hits([Hit("a", 1, 0.0, 0.5, 0.5, True)])
    ecf = ECF((Excerpt("a.wav", 1, 0.0, 1.0, "cts"),), 1.0)
    said = [RTTMRow("LEXEME", "a", 1, 0.0, 0.5, "yes", "lex", "Ann", None)]
    report = score(KWSList((DetectedTerm("1", 0.0, 0, hits),)), ecf, said, KWList((Term("1", "yes"),)))
    with pytest.raises(StdSearchError, match="mine: has no false alarm probability"):
        det_curve(report, "mine")


def test_probit_is_symmetric_and_finite():
    assert probit(0.5) == pytest.approx(0.0)
    assert probit(0.9) == pytest.approx(-probit(0.1)) == pytest.approx(1.2815515)
    assert np.isfinite(probit(np.array([0.0, 1.0]))).all()


def test_without_matplotlib_one_line_says_what_to_do(tmp_path, monkeypatch):
    find = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(StdSearchError, match=r"stdsearch\[plot\]"):
        plot_det([CURVE], tmp_path / "det.png")
