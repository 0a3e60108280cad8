"""XML: what is refused, and that every refusal is one line that names file, line and reason."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.xml import Element, XMLReader, tag, text_element

GRAMMAR = {
    "list": Element(
        required=frozenset({"name"}),
        optional=frozenset({"note"}),
        children={"item": Element(required=frozenset({"id"}), children={"word": Element(text=True)})},
    )
}
BILLION_LAUGHS = """<!DOCTYPE list [
 <!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<list name="&c;"/>"""


def events(path, **options):
    seen = []
    reader = XMLReader(path, GRAMMAR, **options)
    reader.read(lambda name, attributes: seen.append((name, attributes)), lambda name, text: seen.append((name, text)))
    return seen


def test_elements_in_order_with_attributes_and_text(tmp_path):
    path = tmp_path / "list.xml"
    path.write_text('<list name="x"><!-- no --><item id="1"> <word> a&amp;b\n</word> </item></list>')
    assert events(path) == [
        ("list", {"name": "x"}),
        ("item", {"id": "1"}),
        ("word", {}),
        ("word", "a&b"),
        ("item", ""),
        ("list", ""),
    ]


def test_aliases_give_one_spelling(tmp_path):
    path = tmp_path / "list.xml"
    path.write_text('<liste nom="x" note="y"/>')
    seen = events(path, aliases={"liste": "list", "nom": "name"})
    assert seen == [("list", {"name": "x", "note": "y"}), ("list", "")]


def test_gzip_is_told_by_its_bytes(tmp_path):
    path = tmp_path / "list.xml"
    path.write_bytes(gzip.compress(b'<list name="x"/>'))
    assert events(path)[0] == ("list", {"name": "x"})


def test_schema_attributes_are_no_content(tmp_path):
    path = tmp_path / "list.xml"
    path.write_text('<list name="x" xmlns:xsi="http://x" xsi:noNamespaceSchemaLocation="list.xsd"/>')
    assert events(path)[0] == ("list", {"name": "x"})


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (BILLION_LAUGHS, 1, "document type declaration"),
        ('<!DOCTYPE list SYSTEM "file:///etc/hostname"><list name="x"/>', 1, "document type declaration"),
        ('<list name="x">\n<item id="1">\n', 3, "cut short"),
        ('<list name="x">\n<item id="1', 2, "cut short"),
        ("", 1, "empty or cut short"),
        ("kwid,score\n", 1, "not well-formed"),
        ('<list name="x">\n<list name="y"/></list>', 2, "unexpected <list>; <item> is allowed in <list>"),
        ("<other/>", 1, "unexpected <other>; <list> is allowed as the outermost element"),
        ('<list name="x">\n<item/></list>', 2, "<item> lacks id"),
        ('<list name="x" nmae="y"/>', 1, "<list> has no attribute nmae"),
        ('<list name="x">\nhello</list>', 2, "unexpected text 'hello' in <list>"),
        ('<list name="x">\n<item id="1"><word><b/></word></item></list>', 2, "no element is allowed in <word>"),
        ('<list name="x"/><list name="y"/>', 1, "not well-formed"),
        ('<?xml version="1.0" encoding="GB2312"?><list name="x"/>', 1, "GB2312 is not read; convert the file to UTF-8"),
        ('<list name="&undefined;"/>', 1, "not well-formed"),
    ],
)
def test_refusals(tmp_path, content, line, reason):
    path = tmp_path / "list.xml"
    path.write_text(content)
    with pytest.raises(StdSearchError) as refusal:
        events(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message
    assert "\n" not in message


def test_unreadable_files(tmp_path):
    with pytest.raises(StdSearchError, match=r"missing\.xml: cannot be read \(No such file"):
        events(tmp_path / "missing.xml")
    with pytest.raises(StdSearchError, match=r"cannot be read \(Is a directory\)"):
        events(tmp_path)
    packed = gzip.compress(b'<list name="x"/>' + b" " * 10_000)
    (tmp_path / "cut.xml.gz").write_bytes(packed[:-10])
    with pytest.raises(StdSearchError, match=r"cut\.xml\.gz: damaged gzip data"):
        events(tmp_path / "cut.xml.gz")


LEGAL = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
)


@given(LEGAL, LEGAL)
def test_what_is_written_is_read(tmp_path_factory, attribute, text):
    path = tmp_path_factory.mktemp("xml") / "list.xml"
    content = f"{tag('list', {'name': attribute})}<item id='1'>{text_element('word', text)}</item></list>"
    path.write_text(content, encoding="utf-8", newline="")
    seen = events(path)
    assert seen[0] == ("list", {"name": attribute})
    assert seen[3] == ("word", text.strip())


@pytest.mark.parametrize("text", ["\0", "a\x07b", "\ud800", "\uffff"])
def test_what_xml_cannot_carry_is_not_written(text):
    with pytest.raises(StdSearchError, match="which XML cannot carry"):
        text_element("word", text)
    with pytest.raises(StdSearchError, match="which XML cannot carry"):
        tag("list", {"name": text})
