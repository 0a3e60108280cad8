"""ECF, NIST's experiment control file: which stretches of which recordings an evaluation covers.

    <ecf source_signal_duration="100.000" language="english" version="1">
      <excerpt audio_filename="talk.sph" channel="1" tbeg="0.000" dur="50.000" source_type="bnews"/>
    </ecf>

STD 2006 names the language in each excerpt rather than in the ecf element; both are read.
"""

from dataclasses import dataclass
from pathlib import Path

from stdsearch.formats.source import open_output
from stdsearch.formats.values import BadValueError, choice, decimal, moment, seconds, whole
from stdsearch.formats.xml import Element, XMLReader, tag

SOURCE_TYPES = ("bnews", "cts", "splitcts", "confmtg")

GRAMMAR = {
    "ecf": Element(
        required=frozenset({"source_signal_duration", "version"}),
        optional=frozenset({"language"}),
        children={
            "excerpt": Element(
                required=frozenset({"audio_filename", "channel", "tbeg", "dur", "source_type"}),
                optional=frozenset({"language"}),
            )
        },
    )
}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One stretch of one channel; tbeg and dur in seconds."""

    audio_filename: str
    channel: int
    tbeg: float
    dur: float
    source_type: str


@dataclass(frozen=True, slots=True)
class ECF:
    """The stretches an evaluation covers, in the file's order; source_signal_duration is as the file states it."""

    excerpts: tuple[Excerpt, ...]
    source_signal_duration: float
    language: str = ""
    version: str = ""


def read_ecf(path: str | Path) -> ECF:
    """The ECF that the file holds.

    Raises StdSearchError if the file is unreadable, malformed or not an ECF.
    """
    head: dict[str, str] = {}
    excerpts: list[Excerpt] = []
    signal_duration = 0.0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal signal_duration
        if name == "ecf":
            head.update(attributes)
            signal_duration = seconds("source_signal_duration", attributes["source_signal_duration"])
            return
        if "language" not in {**head, **attributes}:
            raise BadValueError("the language is missing; name it in <ecf> (or, as STD 2006 does, in every <excerpt>)")
        head.setdefault("language", attributes.get("language", ""))
        excerpts.append(
            Excerpt(
                audio_filename=attributes["audio_filename"],
                channel=whole("channel", attributes["channel"]),
                tbeg=moment("tbeg", attributes["tbeg"]),
                dur=seconds("dur", attributes["dur"]),
                source_type=choice("source_type", attributes["source_type"], SOURCE_TYPES),
            )
        )

    XMLReader(path, GRAMMAR).read(start)
    return ECF(tuple(excerpts), signal_duration, head.get("language", ""), head["version"])


def write_ecf(ecf: ECF, path: str | Path) -> None:
    """Write the ECF, in the OpenKWS spelling, as UTF-8."""
    head = {
        "source_signal_duration": decimal(ecf.source_signal_duration),
        "language": ecf.language,
        "version": ecf.version,
    }
    with open_output(path) as stream:
        stream.write(f"{tag('ecf', head)}\n")
        for excerpt in ecf.excerpts:
            attributes = {
                "audio_filename": excerpt.audio_filename,
                "channel": str(excerpt.channel),
                "tbeg": decimal(excerpt.tbeg),
                "dur": decimal(excerpt.dur),
                "source_type": excerpt.source_type,
            }
            stream.write(f"  {tag('excerpt', attributes, close=True)}\n")
        stream.write("</ecf>\n")
