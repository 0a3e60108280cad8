import io

import pytest

from stdsearch.errors import StdSearchError
from stdsearch.formats.labels import Label, labels, read_audacity, write_audacity
from stdsearch.types import Hit, TermHits

RESULTS = [
    TermHits("KW-1", "salt lake", (Hit("a", 1, 2.0, 0.5, 0.9, True), Hit("a", 2, 0.25, 0.5, 0.1234, False))),
    TermHits("KW-2", "", (Hit("a", 1, -0.5, 0.25, -3.0, True), Hit("a", 1, 7.0, 0.0, 1.0, True))),
]


def test_labels_are_in_order_never_empty_and_never_before_the_start():
    assert labels(RESULTS) == [
        Label(1, 0.0, 0.001, "KW-2 -3.000"),
        Label(2, 0.25, 0.75, "salt lake 0.123 NO"),
        Label(1, 2.0, 2.5, "salt lake 0.900"),
        Label(1, 7.0, 7.001, "KW-2 1.000"),
    ]


def test_white_space_in_a_term_becomes_a_space():
    assert labels([TermHits("1", "a\tb\nc", (Hit("a", 1, 0.0, 1.0, 0.5, True),))])[0].text == "a b c 0.500"


def test_audacity(tmp_path):
    path = tmp_path / "labels.txt"
    stream = io.StringIO()
    write_audacity(RESULTS, stream)
    assert stream.getvalue().splitlines()[1] == "0.250000\t0.750000\tsalt lake 0.123 NO"
    path.write_text(stream.getvalue() + "\\\t100.0\t200.0\n9.0\t9.5\tmy own find 7\n")
    assert read_audacity(path, "a") == [
        TermHits("KW-2", "KW-2", (Hit("a", 1, 7.0, 0.001, 1.0, True), Hit("a", 1, 0.0, 0.001, -3.0, True))),
        TermHits("salt lake", "salt lake", (Hit("a", 1, 2.0, 0.5, 0.9, True), Hit("a", 1, 0.25, 0.5, 0.123, False))),
        TermHits("my own find 7", "my own find 7", (Hit("a", 1, 9.0, 0.5, 1.0, True),)),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0.0\t1.0", "a label is its beginning, end and text"),
        ("0.0\t1.0\t ", "a label is its beginning, end and text"),
        ("2.0\t1.0\tx", "the label ends (1.0) before it begins (2.0)"),
        ("0.0\tinf\tx", "end 'inf' is not a finite number"),
    ],
)
def test_refusals(tmp_path, line, reason):
    path = tmp_path / "labels.txt"
    path.write_text(f"0.0\t1.0\tx 0.500\n{line}\n")
    with pytest.raises(StdSearchError) as refusal:
        read_audacity(path, "a")
    assert str(refusal.value).startswith(f"{path}:2: {reason}")
