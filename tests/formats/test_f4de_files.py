"""Every file that NIST's own cases hold is read, written and read again without loss."""

from dataclasses import astuple, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from stdsearch.formats import ecf, kwlist, kwslist
from stdsearch.formats.ecf import read_ecf, write_ecf
from stdsearch.formats.kwlist import read_kwlist, write_kwlist
from stdsearch.formats.kwslist import KWSList, read_kwslist, write_kwslist
from stdsearch.formats.rttm import read_rttm, write_rttm
from stdsearch.formats.xml import Element

F4DE = Path(__file__).resolve().parents[2] / ".." / "shared" / "f4de"
CASES = sorted(path.parent for path in F4DE.glob("*/ecf.xml"))

pytestmark = pytest.mark.skipif(not CASES, reason="NIST's cases (../shared/f4de) are not here")


def rows(hits: KWSList) -> list[tuple]:
    return [(d.kwid, d.search_time, d.oov_count, d.hits.to_hits()) for d in hits.detected]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_round_trips(case, tmp_path):
    excerpts = read_ecf(case / "ecf.xml")
    write_ecf(excerpts, tmp_path / "ecf.xml")
    assert read_ecf(tmp_path / "ecf.xml") == excerpts

    transcript = read_rttm(case / "ref.rttm")
    write_rttm(transcript, tmp_path / "ref.rttm")
    assert read_rttm(tmp_path / "ref.rttm") == transcript

    terms, detected = read_kwlist(case / "kwlist.xml"), read_kwslist(case / "kwslist.xml")
    for std2006 in (False, True):
        write_kwlist(terms, tmp_path / "kwlist.xml", std2006=std2006)
        assert read_kwlist(tmp_path / "kwlist.xml") == terms
        write_kwslist(detected, tmp_path / "kwslist.xml.gz", std2006=std2006)
        again = read_kwslist(tmp_path / "kwslist.xml.gz")
        assert rows(again) == rows(detected)
        assert astuple(again)[1:] == astuple(detected)[1:]


def test_a_transcript_is_kept_whole():
    transcript = read_rttm(F4DE / "std06_10files" / "ref.rttm")
    kinds = {kind: sum(row.type == kind for row in transcript) for kind in {row.type for row in transcript}}
    assert len(transcript) == 27681
    assert {"LEXEME": 25188, "SPEAKER": 1487, "SPKR-INFO": 121, "NOSCORE": 19}.items() <= kinds.items()
    first = transcript[0]
    assert (first.type, first.tbeg, first.dur, first.name) == ("SPKR-INFO", None, None, "Jackie_Judd")


def test_hits_are_columns():
    (first, *_) = read_kwslist(F4DE / "test3" / "kwslist.xml").detected
    assert (first.kwid, first.search_time, first.oov_count) == ("TERM-001", 24.3, 0)
    assert first.hits.file[0] == "20010206_1830_1900_ABC_WNT_exA"
    assert (first.hits.tbeg[0], first.hits.dur[0], first.hits.score[0]) == (1630.71, 0.37, 0.966931)
    assert first.hits.decision.dtype == np.bool_
    assert first.hits.channel.dtype == np.int64


XSD = "{http://www.w3.org/2001/XMLSchema}"


def assert_as_in_schema(schema: ElementTree.Element, element: Element) -> None:
    """The element takes what the schema's declaration takes, no less and no more."""
    uses = {a.get("name"): a.get("use") for a in schema.findall(f"{XSD}complexType/{XSD}attribute")}
    assert element.required == {name for name, use in uses.items() if use == "required"}
    assert element.optional == {name for name, use in uses.items() if use == "optional"}
    assert element.text == (schema.get("type") == "xsd:string")
    children = {child.get("name"): child for child in schema.findall(f"{XSD}complexType/{XSD}sequence/{XSD}element")}
    assert element.children.keys() == children.keys()
    for name, child in children.items():
        assert_as_in_schema(child, element.children[name])


@pytest.mark.parametrize(("name", "grammar"), [("kwlist", kwlist.GRAMMAR), ("kwslist", kwslist.GRAMMAR)])
def test_the_grammars_are_the_schemas(name, grammar):
    (root,) = ElementTree.parse(F4DE / "xsd" / f"KWSEval-{name}.xsd").getroot()
    assert_as_in_schema(root, grammar[name])


def test_the_ecf_differs_from_its_schema_in_where_the_language_may_stand():
    (root,) = ElementTree.parse(F4DE / "xsd" / "KWSEval-ecf.xsd").getroot()
    head, excerpt = ecf.GRAMMAR["ecf"], ecf.GRAMMAR["ecf"].children["excerpt"]
    assert (head.optional, excerpt.optional) == ({"language"}, {"language"})
    strict = Element(head.required | {"language"}, children={"excerpt": replace(excerpt, optional=frozenset())})
    assert_as_in_schema(root, strict)
