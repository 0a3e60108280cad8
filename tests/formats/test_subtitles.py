import io

from stdsearch.formats.subtitles import write_srt, write_vtt
from stdsearch.types import Hit, TermHits

RESULTS = [
    TermHits("1", "a --> b & <c>", (Hit("x.wav", 1, 3599.9996, 1.5, 0.5, True),)),
    TermHits("2", "对症", (Hit("x.wav", 1, 0.0, 0.25, 0.75, False),)),
]


def test_srt():
    stream = io.StringIO()
    write_srt(RESULTS, stream)
    assert stream.getvalue() == (
        "1\n00:00:00,000 --> 00:00:00,250\n对症 0.750 NO\n\n2\n01:00:00,000 --> 01:00:01,500\na -> b & <c> 0.500\n\n"
    )


def test_vtt():
    stream = io.StringIO()
    write_vtt(RESULTS, stream)
    assert stream.getvalue() == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:00.250\n对症 0.750 NO\n\n"
        "01:00:00.000 --> 01:00:01.500\na --&gt; b &amp; &lt;c&gt; 0.500\n\n"
    )
