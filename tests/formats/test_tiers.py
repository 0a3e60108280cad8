import io
import re
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from stdsearch.formats.labels import Label
from stdsearch.formats.tiers import tiers, write_eaf, write_textgrid
from stdsearch.types import Hit, TermHits

RECORDING = "d/a b.wav"
RESULTS = [
    TermHits(
        "1", 'say "hi" & <go>', (Hit(RECORDING, 1, 1.0, 1.0, 0.5, True), Hit(RECORDING, 1, 1.5, 1.0, 0.25, False))
    ),
    TermHits("2", "对症", (Hit(RECORDING, 2, 0.0, 0.5, 0.75, True), Hit(RECORDING, 1, 2.0, 0.5, 0.5, True))),
]
TIMES = st.integers(0, 5000).map(lambda milliseconds: milliseconds / 1000)
LABELS = st.lists(
    st.builds(lambda channel, tbeg, dur: Label(channel, tbeg, tbeg + dur + 0.001, "x"), st.integers(1, 2), TIMES, TIMES)
).map(lambda found: sorted(found, key=lambda label: label.tbeg))


@given(LABELS)
def test_tiers_hold_every_label_without_overlap_on_as_few_tiers_as_possible(ordered):
    layered = tiers(ordered)
    assert sorted((x for tier in layered.values() for x in tier), key=repr) == sorted(ordered, key=repr)
    for tier in layered.values():
        assert len({label.channel for label in tier}) == 1
        assert all(first.tend <= second.tbeg for first, second in pairwise(tier))
    for channel in (1, 2):
        mine = [label for label in ordered if label.channel == channel]
        crowd = max((sum(x.tbeg <= at.tbeg < x.tend for x in mine) for at in mine), default=0)
        assert sum(name.startswith(f"channel {channel}") for name in layered) == crowd


def test_textgrid():
    stream = io.StringIO()
    write_textgrid(RESULTS, stream)
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    assert lines[:7] == [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        "xmax = 2.500",
        "tiers? <exists>",
        "size = 3",
    ]
    names = re.findall(r'name = "(.*)"', stream.getvalue())
    assert names == ["channel 1", "channel 1 (2)", "channel 2"]
    intervals = re.findall(r'xmin = ([\d.]+)\n +xmax = ([\d.]+)\n +text = "(.*)"', stream.getvalue())
    assert intervals == [
        ("0.000", "1.000", ""),
        ("1.000", "2.000", 'say ""hi"" & <go> 0.500'),
        ("2.000", "2.500", "对症 0.500"),
        ("0.000", "1.500", ""),
        ("1.500", "2.500", 'say ""hi"" & <go> 0.250 NO'),
        ("0.000", "0.500", "对症 0.750"),
        ("0.500", "2.500", ""),
    ]


def test_a_textgrid_without_hits_has_no_tiers():
    stream = io.StringIO()
    write_textgrid([TermHits("1", "x", ())], stream)
    assert stream.getvalue().splitlines()[-1] == "tiers? <absent>"


def test_eaf():
    stream = io.StringIO()
    write_eaf(RESULTS, stream)
    document = ElementTree.fromstring(stream.getvalue().encode())
    media = document.find("HEADER/MEDIA_DESCRIPTOR").attrib
    assert (media["MEDIA_URL"], media["RELATIVE_MEDIA_URL"]) == ("d/a%20b.wav", "./a%20b.wav")
    assert media["MIME_TYPE"].startswith("audio/")
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in document.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    found = {
        tier.get("TIER_ID"): [
            (slots[a.get("TIME_SLOT_REF1")], slots[a.get("TIME_SLOT_REF2")], a.findtext("ANNOTATION_VALUE"))
            for a in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in document.iter("TIER")
    }
    assert found == {
        "channel 1": [(1000, 2000, 'say "hi" & <go> 0.500'), (2000, 2500, "对症 0.500")],
        "channel 1 (2)": [(1500, 2500, 'say "hi" & <go> 0.250 NO')],
        "channel 2": [(0, 500, "对症 0.750")],
    }
    types = {kind.get("LINGUISTIC_TYPE_ID") for kind in document.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in document.iter("TIER")} <= types


def test_eaf_links_an_absolute_path_as_a_file():
    stream = io.StringIO()
    write_eaf([TermHits("1", "x", (Hit("/data/a.mp3", 1, 0.0, 1.0, 0.5, True),))], stream)
    assert 'MEDIA_URL="file:///data/a.mp3" MIME_TYPE="audio/mpeg"' in stream.getvalue()
