from dataclasses import replace

import numpy as np
import pytest

from stdsearch.formats.ecf import ECF, Excerpt
from stdsearch.metrics.coverage import Coverage, recording_id, total_seconds

CTS = {
    "4489": 300.490, "4758": 300.990, "4776": 302.640, "4860": 304.190, "4862": 299.120, "5299": 300.170,
    "5765": 297.340, "5808": 303.320, "5828": 301.460, "7051": 304.780, "7060": 306.490, "7068": 304.805,
}  # fmt: skip
F4DE_TEST1 = ECF(  # the durations of the ECF that F4DE's own unit test uses
    (
        Excerpt("bnews/20010217_0000_0100_VOA_ARB_exA.sph", 1, 0.0, 1839.029, "bnews"),
        Excerpt("bnews/20010223_1530_1600_NTV_ARB_exA.sph", 1, 0.0, 1731.334, "bnews"),
        Excerpt("bnews/20010223_1530_1600_NTV_ARB_exA.sph", 2, 0.0, 731.334, "bnews"),
        *(Excerpt(f"cts/ar_{n}_exA.sph", side, 0.0, dur, "cts") for n, dur in CTS.items() for side in (1, 2)),
        Excerpt("cts/ar_4758_exA.sph", 2, 400.0, 800.990, "cts"),
        Excerpt("cts/split_A.sph", 1, 0.0, 1000.0, "splitcts"),
        Excerpt("cts/split_B.sph", 1, 0.0, 1000.0, "splitcts"),
    ),
    source_signal_duration=7196.158,
)


def of(ecf: ECF, *, source_type: str = "", names: tuple[str, ...] = ("",)) -> ECF:
    kept = (e for e in ecf.excerpts if source_type in e.source_type and any(n in e.audio_filename for n in names))
    return replace(ecf, excerpts=tuple(kept))


def test_durations_are_those_of_f4des_unit_test():
    assert total_seconds(F4DE_TEST1) == pytest.approx(8997.148, abs=5e-4)
    assert total_seconds(of(F4DE_TEST1, source_type="bnews")) == pytest.approx(3570.363, abs=5e-4)
    assert total_seconds(of(F4DE_TEST1, source_type="splitcts")) == pytest.approx(1000.0, abs=5e-4)
    cts = replace(F4DE_TEST1, excerpts=tuple(e for e in F4DE_TEST1.excerpts if e.source_type == "cts"))
    assert total_seconds(cts) == pytest.approx(4426.785, abs=5e-4)
    assert total_seconds(of(F4DE_TEST1, names=("_ARB_", "ar_4489"))) == pytest.approx(3870.853, abs=5e-4)


def test_an_excerpt_is_cut_where_the_next_one_of_its_recording_starts():
    excerpts = [("a.wav", 1, 0.0, 10.0), ("a.wav", 2, 4.0, 10.0), ("a.wav", 1, 20.0, 5.0), ("b.wav", 1, 0.0, 1.0)]
    ecf = ECF(tuple(Excerpt(*e, "bnews") for e in excerpts), 0.0)
    assert total_seconds(ecf) == 4 + 10 + 5 + 1


@pytest.mark.parametrize(
    ("name", "recording"),
    [("a/b/talk.sph", "talk"), ("talk.v2.wav", "talk.v2"), ("talk", "talk"), ("a.b/talk", "talk")],
)
def test_recording_id(name, recording):
    assert recording_id(name) == recording


def test_what_lies_before_the_first_excerpt_of_all_counts_not():
    coverage = Coverage.from_ecf(ECF((Excerpt("a.wav", 1, 1000.0, 600.0, "cts"),), 0.0))
    channel = coverage.number(["a"] * 3, [1] * 3)
    assert coverage.holds(channel, np.array([10.0, 999.9, 1000.0]), np.array([11.0, 1001.0, 1600.0])).tolist() == [
        False,
        False,
        True,
    ]


def test_a_span_counts_only_wholly_inside_one_excerpt():
    excerpts = [("a.wav", 1, 0.0, 10.0), ("a.wav", 1, 2.0, 3.0), ("a.wav", 1, 20.0, 5.0), ("a.wav", 2, 30.0, 5.0)]
    coverage = Coverage.from_ecf(ECF(tuple(Excerpt(*e, "cts") for e in excerpts), 0.0))
    asked = [
        (("a", 1), 0.0, 10.0, True),
        (("a", 1), 3.0, 9.0, True),  # inside the first, past the end of the second
        (("a", 1), 9.5, 10.1, False),
        (("a", 1), -0.1, 1.0, False),
        (("a", 1), 19.0, 21.0, False),
        (("a", 1), 24.0, 25.0, True),
        (("a", 1), 31.0, 32.0, False),
        (("a", 2), 31.0, 32.0, True),
        (("b", 1), 1.0, 2.0, False),
    ]
    number = coverage.number([key[0] for key, *_ in asked], [key[1] for key, *_ in asked])
    assert number.tolist() == [0] * 7 + [1, -1]
    tbeg, tend = np.array([a[1] for a in asked]), np.array([a[2] for a in asked])
    assert coverage.holds(number, tbeg, tend).tolist() == [a[3] for a in asked]
