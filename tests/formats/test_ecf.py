import pytest
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.errors import StdSearchError
from stdsearch.formats.ecf import ECF, SOURCE_TYPES, Excerpt, read_ecf, write_ecf

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
SECONDS = st.floats(0, 1e6)
EXCERPTS = st.builds(Excerpt, TEXT, st.integers(0, 999), st.floats(-1e6, 1e6), SECONDS, st.sampled_from(SOURCE_TYPES))


@given(st.builds(ECF, st.lists(EXCERPTS).map(tuple), SECONDS, TEXT, TEXT))
def test_round_trip(tmp_path_factory, ecf):
    path = tmp_path_factory.mktemp("ecf") / "ecf.xml"
    write_ecf(ecf, path)
    assert read_ecf(path) == ecf


def test_std2006_names_the_language_in_the_excerpt(tmp_path):
    path = tmp_path / "ecf.xml"
    path.write_text(
        '<ecf source_signal_duration="2" version="1">\n'
        '<excerpt audio_filename="a.sph" channel="1" tbeg="0" dur="2" language="arabic" source_type="cts"/></ecf>'
    )
    assert read_ecf(path) == ECF((Excerpt("a.sph", 1, 0.0, 2.0, "cts"),), 2.0, "arabic", "1")


EXCERPT = {"audio_filename": "a.sph", "channel": "1", "tbeg": "0", "dur": "2", "source_type": "cts"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dur": "-2"}, "dur '-2' is negative"),
        ({"tbeg": "nan"}, "tbeg 'nan' is not a finite number"),
        ({"channel": "A"}, "channel 'A' is not a whole number"),
        ({"source_type": "radio"}, "source_type 'radio' must be 'bnews' or 'cts' or 'splitcts' or 'confmtg'"),
    ],
)
def test_refusals(tmp_path, changes, reason):
    path = tmp_path / "ecf.xml"
    inner = " ".join(f'{name}="{value}"' for name, value in {**EXCERPT, **changes}.items())
    path.write_text(f'<ecf source_signal_duration="2" version="" language="english">\n<excerpt {inner}/></ecf>')
    with pytest.raises(StdSearchError) as refusal:
        read_ecf(path)
    assert str(refusal.value).startswith(f"{path}:2: {reason}")


def test_a_language_must_be_named(tmp_path):
    path = tmp_path / "ecf.xml"
    inner = " ".join(f'{name}="{value}"' for name, value in EXCERPT.items())
    path.write_text(f'<ecf source_signal_duration="2" version="">\n<excerpt {inner}/></ecf>')
    with pytest.raises(StdSearchError, match=r"ecf\.xml:2: the language is missing"):
        read_ecf(path)
