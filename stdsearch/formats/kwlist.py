"""KWList, the list of the terms to search for, as NIST's XML or as plain text.

    <kwlist ecf_filename="ecf.xml" version="1" language="english" encoding="UTF-8" compareNormalize="lowercase">
      <kw kwid="KW-001">
        <kwtext>salt lake</kwtext>
        <kwinfo><attr><name>vocabulary</name><value>OOV</value></attr></kwinfo>
      </kw>
    </kwlist>

STD 2006 spells it termlist, term, termid, termtext, terminfo, and may leave out encoding and compareNormalize:
they are then UTF-8 and lowercase, as that evaluation compared without regard to case.

Plain text has a term a line, and in front of it a kwid and a tab where it has one of its own.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stdsearch.errors import CONTROLS, StdSearchError
from stdsearch.formats.source import decoded, open_bytes, open_output
from stdsearch.formats.values import BadValueError, choice
from stdsearch.formats.xml import Element, XMLReader, tag, text_element
from stdsearch.types import Term

ENCODINGS = ("UTF-8", "GB2312", "gb2312-raw")
COMPARE_NORMALIZE = ("lowercase", "")

BEGINS_XML = re.compile(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<")  # after a byte order mark, in two bytes or one

STD2006 = {"term": "kw", "termid": "kwid", "termtext": "kwtext", "terminfo": "kwinfo"}
HEAD = frozenset({"ecf_filename", "version", "language"})
COMPARISON = frozenset({"encoding", "compareNormalize"})
ATTRIBUTE = Element(children={"name": Element(text=True), "value": Element(text=True)})
TERM = Element(
    required=frozenset({"kwid"}),
    children={"kwtext": Element(text=True), "kwinfo": Element(children={"attr": ATTRIBUTE})},
)
GRAMMAR = {
    "kwlist": Element(required=HEAD | COMPARISON, children={"kw": TERM}),
    "termlist": Element(required=HEAD, optional=COMPARISON, children={"kw": TERM}),
}


@dataclass(frozen=True, slots=True)
class KWList:
    """The terms to search for, in the file's order.

    compare_normalize is "lowercase" or "": whether words are compared without or with regard to case.
    """

    terms: tuple[Term, ...]
    ecf_filename: str = ""
    version: str = ""
    language: str = ""
    encoding: str = "UTF-8"
    compare_normalize: str = "lowercase"


def read_kwlist(path: str | Path) -> KWList:
    """The KWList that the file holds, as XML in either spelling or as plain text.

    Of two attributes with one name, the last counts. In text the nth term without a kwid gets KW-n, as typed ones do.
    Raises StdSearchError if the file is unreadable, malformed or not a KWList, or two terms share a kwid.
    """
    with open_bytes(path) as stream:
        start = stream.peek(64)  # type: ignore[attr-defined]
        return _read_xml(path, stream) if BEGINS_XML.match(start) else _read_text(path, stream)


def _read_text(path: str | Path, stream: BinaryIO) -> KWList:
    """The terms of its lines, but for the blank ones."""
    terms: dict[str, Term] = {}
    for number, line in enumerate(decoded(path, stream), start=1):
        if not line.strip():
            continue
        *own, text = (part.strip() for part in line.split("\t"))
        kwid = own[0] if own else f"KW-{len(terms) + 1}"
        if len(own) > 1 or not (kwid and text) or re.search(CONTROLS, kwid + text):
            raise StdSearchError(
                f"{path}:{number}: is no term; give NIST's XML, or TERM, or KWID and tab and TERM, a line"
            )
        if kwid in terms:
            raise StdSearchError(f"{path}:{number}: the kwid {kwid!r} occurs twice; give every term its own")
        terms[kwid] = Term(kwid, text)
    if not terms:
        raise StdSearchError(f"{path}: holds no term; give NIST's XML, or text with a term a line")
    return KWList(tuple(terms.values()))


def _read_xml(path: str | Path, stream: BinaryIO) -> KWList:
    terms: dict[str, Term] = {}
    head = {"encoding": "UTF-8", "compareNormalize": "lowercase"}
    kwid = ""
    texts: dict[str, str] = {}  # of the elements closed so far in this <kw>
    attributes: dict[str, str] = {}

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal kwid, attributes
        if name in GRAMMAR:
            head.update(given)
            choice("encoding", head["encoding"], ENCODINGS)
            choice("compareNormalize", head["compareNormalize"], COMPARE_NORMALIZE)
        elif name == "kw":
            kwid, attributes = given["kwid"], {}
            texts.clear()
            if kwid in terms:
                raise BadValueError(f"the kwid {kwid!r} occurs twice; give every term its own")
        elif name == "kwtext" and name in texts:
            raise BadValueError(f"the term {kwid!r} has two texts; give each its own kwid")

    def end(name: str, text: str) -> None:
        if name in ("kwtext", "name", "value"):
            texts[name] = text
        elif name == "attr":
            if not {"name", "value"} <= texts.keys():
                raise BadValueError(f"an <attr> of the term {kwid!r} lacks its <name> or <value>")
            attributes[texts.pop("name")] = texts.pop("value")
        elif name == "kw":
            if "kwtext" not in texts:
                raise BadValueError(f"the term {kwid!r} lacks its <kwtext>")
            terms[kwid] = Term(kwid, texts["kwtext"], attributes)

    XMLReader(path, GRAMMAR, STD2006).read_from(stream, start, end)
    return KWList(
        tuple(terms.values()),
        head["ecf_filename"],
        head["version"],
        head["language"],
        head["encoding"],
        head["compareNormalize"],
    )


def write_kwlist(kwlist: KWList, path: str | Path, *, std2006: bool = False) -> None:
    """Write the KWList as UTF-8, in the spelling of OpenKWS or of STD 2006."""
    spelling = {ours: theirs for theirs, ours in STD2006.items()} if std2006 else {}

    def spelt(name: str) -> str:
        return spelling.get(name, name)

    head = {
        "ecf_filename": kwlist.ecf_filename,
        "version": kwlist.version,
        "language": kwlist.language,
        "encoding": kwlist.encoding,
        "compareNormalize": kwlist.compare_normalize,
    }
    root = "termlist" if std2006 else "kwlist"
    with open_output(path) as stream:
        stream.write(f"{tag(root, head)}\n")
        for term in kwlist.terms:
            stream.write(f"  {tag(spelt('kw'), {spelt('kwid'): term.kwid})}\n")
            stream.write(f"    {text_element(spelt('kwtext'), term.text)}\n")
            if term.attributes:
                stream.write(f"    <{spelt('kwinfo')}>\n")
                for name, value in term.attributes.items():
                    stream.write(f"      <attr>{text_element('name', name)}{text_element('value', value)}</attr>\n")
                stream.write(f"    </{spelt('kwinfo')}>\n")
            stream.write(f"  </{spelt('kw')}>\n")
        stream.write(f"</{root}>\n")
