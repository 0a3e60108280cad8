import io

import pytest

from stdsearch.errors import StdSearchError
from stdsearch.formats.rttm import RTTMRow, read_rttm
from stdsearch.formats.timemarks import write_ctm, write_rttm_hits
from stdsearch.types import Hit, TermHits

RESULTS = [
    TermHits("KW-1", "salt lake", (Hit("talk b", 1, 2.0, 0.5, 0.9, True), Hit("talk a", 2, 5.0, 0.5, 0.1, False))),
    TermHits("KW-2", "", (Hit("talk a", 1, 7.25, 0.5, 0.5, True), Hit("talk a", 1, 1.0, 0.5, 1 / 3, True))),
    TermHits("KW-3", "a;;b", (Hit("talk c", 1, 0.0, 1.0, 0.5, True),)),
]


def test_rttm_reads_back_as_rttm(tmp_path):
    stream = io.StringIO()
    write_rttm_hits(RESULTS, stream)
    (tmp_path / "hits.rttm").write_text(stream.getvalue())
    assert read_rttm(tmp_path / "hits.rttm") == [
        RTTMRow("LEXEME", "talk_a", 1, 1.0, 0.5, "KW-2", "lex", "KW-2", 1 / 3),
        RTTMRow("LEXEME", "talk_a", 1, 7.25, 0.5, "KW-2", "lex", "KW-2", 0.5),
        RTTMRow("LEXEME", "talk_a", 2, 5.0, 0.5, "salt_lake", "lex", "KW-1", 0.1),
        RTTMRow("LEXEME", "talk_b", 1, 2.0, 0.5, "salt_lake", "lex", "KW-1", 0.9),
        RTTMRow("LEXEME", "talk_c", 1, 0.0, 1.0, "a_b", "lex", "KW-3", 0.5),
    ]


def test_ctm():
    stream = io.StringIO()
    write_ctm(RESULTS[:1], stream)
    assert stream.getvalue() == "talk_a 2 5.000 0.500 salt_lake 0.100\ntalk_b 1 2.000 0.500 salt_lake 0.900\n"


@pytest.mark.parametrize("write", [write_ctm, write_rttm_hits])
def test_recordings_that_would_be_called_alike_are_refused(write):
    hits = tuple(Hit(name, 1, 0.0, 1.0, 0.5, True) for name in ("my talk", "my_talk"))
    with pytest.raises(StdSearchError, match="'my talk' and 'my_talk': would both be called 'my_talk'"):
        write([TermHits("1", "ski", hits)], io.StringIO())
