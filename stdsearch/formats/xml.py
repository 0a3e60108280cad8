"""XML as NIST's files use it: streamed, checked against a grammar, and safe to read from strangers.

A document type declaration is refused, and with it every entity that a file could define, so that a file of a few
lines cannot grow to gigabytes in memory (the "billion laughs") or make the reader open other files.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from stdsearch.errors import StdSearchError
from stdsearch.formats.source import open_bytes
from stdsearch.formats.values import BadValueError

CHUNK_BYTES = 1 << 20
ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "utf-16")  # those that expat decodes itself
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2 (Char)


@dataclass(frozen=True, slots=True)
class Element:
    """What an element may hold: attributes it must and may carry, its children, and whether it holds text."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    children: Mapping[str, "Element"] = field(default_factory=dict)
    text: bool = False


class XMLReader:
    """Reads one file, checks it against a grammar and hands its elements to two callbacks as they come.

    aliases map another spelling's element and attribute names to the grammar's (STD 2006's "term" to "kw"), so that
    the callbacks see one spelling only. advice is told of a file that does not even begin as XML.
    """

    def __init__(
        self,
        path: str | Path,
        grammar: Mapping[str, Element],
        aliases: Mapping[str, str] | None = None,
        *,
        advice: str = "",
    ) -> None:
        self.path = path
        self._advice = advice
        self._aliases = aliases or {}
        self._open: list[tuple[str, Element]] = [("", Element(children=grammar))]
        self._text: list[str] = []
        self._start: Callable[[str, dict[str, str]], None]
        self._end: Callable[[str, str], None]
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._on_start
        self._parser.EndElementHandler = self._on_end
        self._parser.CharacterDataHandler = self._on_text
        self._parser.XmlDeclHandler = self._on_declaration
        self._parser.StartDoctypeDeclHandler = self._on_doctype

    def read(
        self,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str, str], None] = lambda name, text: None,
    ) -> None:
        """Call start(name, attributes) and end(name, stripped text) for every element, in the file's order.

        Raises StdSearchError if the file is unreadable, not well-formed XML, or not as the grammar says,
        or if a callback raises BadValueError.
        """
        with open_bytes(self.path) as stream:
            self.read_from(stream, start, end)

    def read_from(
        self, stream: BinaryIO, start: Callable[[str, dict[str, str]], None], end: Callable[[str, str], None]
    ) -> None:
        """As `read`, of the file opened already."""
        self._start, self._end = start, end
        try:
            while chunk := stream.read(CHUNK_BYTES):
                self._parser.Parse(chunk, False)
            self._parser.Parse(b"", True)
        except BadValueError as error:
            raise self._error(error) from error
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            hint = ""
            if reason in ("no element found", "unclosed token"):
                hint = "; the file is empty or cut short"
            elif self._advice and (error.lineno, error.offset) == (1, 0):
                hint = f"; {self._advice}"
            raise StdSearchError(f"{self.path}:{error.lineno}: not well-formed XML ({reason}){hint}") from error

    def _error(self, reason: object) -> StdSearchError:
        """An error that names the file and the line being read."""
        return StdSearchError(f"{self.path}:{self._parser.CurrentLineNumber}: {reason}")

    def _on_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ENCODINGS:
            raise self._error(f"the encoding {encoding} is not read; convert the file to UTF-8")

    def _on_doctype(self, *_: object) -> None:
        raise self._error("holds a document type declaration (<!DOCTYPE ...>); remove it, such files are refused")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        name = self._aliases.get(name, name)
        parent_name, parent = self._open[-1]
        element = parent.children.get(name)
        if element is None:
            expected = " or ".join(f"<{child}>" for child in parent.children) or "no element"
            where = f"in <{parent_name}>" if parent_name else "as the outermost element"
            raise self._error(f"unexpected <{name}>; {expected} is allowed {where}")
        if attributes.keys() != element.required:
            attributes = self._checked(name, attributes, element)
        self._open.append((name, element))
        self._start(name, attributes)

    def _checked(self, name: str, attributes: dict[str, str], element: Element) -> dict[str, str]:
        """The attributes in the grammar's spelling, without those that speak of the XML itself."""
        attributes = {
            self._aliases.get(key, key): value
            for key, value in attributes.items()
            if not key.startswith(("xmlns", "xsi:", "xml:"))
        }
        if missing := element.required - attributes.keys():
            raise self._error(f"<{name}> lacks {', '.join(sorted(missing))}")
        if unknown := attributes.keys() - element.required - element.optional:
            raise self._error(f"<{name}> has no attribute {', '.join(sorted(unknown))}")
        return attributes

    def _on_text(self, text: str) -> None:
        name, element = self._open[-1]
        if element.text:
            self._text.append(text)
        elif not text.isspace():
            raise self._error(f"unexpected text {text.strip()[:40]!r} in <{name}>")

    def _on_end(self, _name: str) -> None:
        name, element = self._open.pop()
        text = ""
        if element.text:
            text = "".join(self._text).strip()
            self._text.clear()
        self._end(name, text)


def tag(name: str, attributes: Mapping[str, str], *, close: bool = False) -> str:
    """An opening tag, or with close an empty element, its attribute values escaped.

    >>> tag("kw", {"kwid": "KW-1 & 2"}, close=True)
    '<kw kwid="KW-1 &amp; 2"/>'
    """
    inner = "".join(f" {key}={quoted(value)}" for key, value in attributes.items())
    return f"<{name}{inner}{'/' if close else ''}>"


def quoted(value: str) -> str:
    """The attribute value in quotes, escaped."""
    return quoteattr(_legal(value))


def text_element(name: str, text: str) -> str:
    """An element that holds text only.

    >>> text_element("kwtext", "R&D")
    '<kwtext>R&amp;D</kwtext>'
    """
    return f"<{name}>{escape(_legal(text), {chr(13): '&#13;'})}</{name}>"


def _legal(text: str) -> str:
    if ILLEGAL.search(text):
        raise StdSearchError(f"{text[:40]!r}: holds a character which XML cannot carry; rename it")
    return text
