import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.rttm import RTTMRow, read_rttm, write_rttm

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1).filter(
    lambda word: ";" not in word
)
TIMES = st.none() | st.floats(0, 1e6)
ROWS = st.builds(
    RTTMRow,
    st.sampled_from(["LEXEME", "SPEAKER", "NON-LEX", "SPKR-INFO", "SEGMENT"]),
    WORDS,
    st.integers(0, 999),
    TIMES,
    TIMES,
    WORDS,
    WORDS,
    WORDS,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(ROWS))
def test_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rttm") / "ref.rttm"
    write_rttm(rows, path)
    assert read_rttm(path) == rows


def test_comments_blank_lines_byte_order_mark_and_case(tmp_path):
    path = tmp_path / "ref.rttm"
    path.write_bytes("\ufeff;; a comment\r\n\r\n  lexeme talk 1 0.5 .25 café lex <NA> 0.9 ;; said twice\r\n".encode())
    assert read_rttm(path) == [RTTMRow("LEXEME", "talk", 1, 0.5, 0.25, "café", "lex", "<NA>", 0.9)]


def test_a_tenth_column_is_passed_over(tmp_path):
    path = tmp_path / "ref.rttm"
    path.write_text("SPEAKER talk 1 0.5 2.5 <NA> <NA> Ann <NA> <NA>\n")
    assert read_rttm(path) == [RTTMRow("SPEAKER", "talk", 1, 0.5, 2.5, "<NA>", "<NA>", "Ann", None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"LEXEME talk 1 0.0 1.0 yes lex Ann", "an RTTM line has 9 columns, this one has 8"),
        (b"LEXEME talk A 0.0 1.0 yes lex Ann <NA>", "channel 'A' is not a whole number"),
        (b"LEXEME talk 1 nan 1.0 yes lex Ann <NA>", "tbeg 'nan' is not a finite number"),
        (b"LEXEME talk 1 0.0 -1.0 yes lex Ann <NA>", "dur '-1.0' is negative"),
        (b"LEXEME talk 1 0.0 1.0 yes lex Ann high", "conf 'high' is not a finite number"),
        (
            b"LEXEME my talk 1 0.0 1.0 yes lex Ann <NA>",
            "channel 'talk' is not a whole number of at most 9 digits; no name may hold a space, write _ for it",
        ),
        (b"LEXEME my old talk 1 0.0 1.0 yes lex Ann <NA>", "an RTTM line has 9 columns, this one has 11; no name may"),
        (b"LEXEME talk 1 0.0 1.0 caf\xe9 lex Ann <NA>", "not UTF-8 text"),
    ],
)
def test_refusals(tmp_path, line, reason):
    path = tmp_path / "ref.rttm"
    path.write_bytes(b"SPEAKER talk 1 0.0 1.0 <NA> <NA> Ann <NA>\n" + line + b"\n")
    with pytest.raises(StdSearchError) as refusal:
        read_rttm(path)
    assert str(refusal.value).startswith(f"{path}:2: {reason}")


@pytest.mark.parametrize("ortho", ["", "two words", "a;;b"])
def test_what_the_format_cannot_hold_is_not_written(tmp_path, ortho):
    with pytest.raises(ValueError, match="RTTM has no way to write"):
        write_rttm([RTTMRow("LEXEME", "talk", 1, 0.0, 1.0, ortho, "lex", "Ann", None)], tmp_path / "ref.rttm")
