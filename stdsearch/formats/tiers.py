"""Hits as annotation tiers of one recording: Praat's TextGrid and ELAN's .eaf.

Neither program allows overlapping annotations on one tier: overlapping hits go to further tiers.
"""

import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TextIO
from urllib.parse import quote

from stdsearch.formats.labels import Label, labels
from stdsearch.formats.xml import tag, text_element
from stdsearch.types import TermHits


def tiers(ordered: Sequence[Label]) -> dict[str, list[Label]]:
    """The labels, given in order of time, on as few tiers as keep channels apart and overlapping labels too."""
    layers: dict[int, list[list[Label]]] = {}
    for label in ordered:
        channel = layers.setdefault(label.channel, [])
        free = next((layer for layer in channel if layer[-1].tend <= label.tbeg), None)
        if free is None:
            channel.append([label])
        else:
            free.append(label)
    return {
        f"channel {channel}" + (f" ({number})" if number > 1 else ""): layer
        for channel, channel_layers in sorted(layers.items())
        for number, layer in enumerate(channel_layers, start=1)
    }


def write_textgrid(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write a Praat TextGrid in the long text form: an interval tier a channel, gaps as empty intervals."""
    ordered = labels(results)
    xmax = max((label.tend for label in ordered), default=1.0)
    tier_labels = tiers(ordered)
    stream.write(f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {xmax:.3f}\n')
    if not tier_labels:
        stream.write("tiers? <absent>\n")
        return
    stream.write(f"tiers? <exists>\nsize = {len(tier_labels)}\nitem []:\n")
    for number, (name, on_tier) in enumerate(tier_labels.items(), start=1):
        intervals = _without_gaps(on_tier, xmax)
        stream.write(
            f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
            f"        xmin = 0\n        xmax = {xmax:.3f}\n        intervals: size = {len(intervals)}\n"
        )
        for index, (tbeg, tend, text) in enumerate(intervals, start=1):
            doubled = text.replace('"', '""')
            stream.write(
                f"        intervals [{index}]:\n            xmin = {tbeg:.3f}\n            xmax = {tend:.3f}\n"
                f'            text = "{doubled}"\n'
            )


def _without_gaps(on_tier: Sequence[Label], xmax: float) -> list[tuple[float, float, str]]:
    intervals = []
    reached = 0.0
    for label in on_tier:
        if label.tbeg > reached:
            intervals.append((reached, label.tbeg, ""))
        intervals.append((label.tbeg, label.tend, label.text))
        reached = label.tend
    if reached < xmax:
        intervals.append((reached, xmax, ""))
    return intervals


def write_eaf(results: Sequence[TermHits], stream: TextIO) -> None:
    """Write an ELAN annotation document (EAF 3.0) with a tier a channel, linked to the recording by its path."""
    recording = next((hit.recording for result in results for hit in result.hits), "")
    head = {
        "AUTHOR": "stdsearch",
        "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
        "FORMAT": "3.0",
        "VERSION": "3.0",
        "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
    }
    media = {
        "MEDIA_URL": ("file://" if recording.startswith("/") else "") + quote(recording),
        "MIME_TYPE": "audio/x-wav" if recording.endswith(".wav") else mimetypes.guess_type(recording)[0] or "unknown",
        "RELATIVE_MEDIA_URL": quote(f"./{recording.rpartition('/')[2]}"),
    }
    numbers = count(1)
    numbered = {name: [(next(numbers), label) for label in on_tier] for name, on_tier in tiers(labels(results)).items()}
    slots = sorted(
        (time, f"{end}{number}")
        for on_tier in numbered.values()
        for number, label in on_tier
        for end, time in (("b", label.tbeg), ("e", label.tend))
    )
    stream.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{tag("ANNOTATION_DOCUMENT", head)}\n')
    stream.write('  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n')
    stream.write(f"    {tag('MEDIA_DESCRIPTOR', media, close=True)}\n  </HEADER>\n  <TIME_ORDER>\n")
    for time, slot in slots:
        stream.write(f'    <TIME_SLOT TIME_SLOT_ID="{slot}" TIME_VALUE="{round(1000 * time)}"/>\n')
    stream.write("  </TIME_ORDER>\n")
    for name, on_tier in numbered.items():
        stream.write(f"  {tag('TIER', {'LINGUISTIC_TYPE_REF': 'hit', 'TIER_ID': name})}\n")
        for number, label in on_tier:
            stream.write(
                f'    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="b{number}"'
                f' TIME_SLOT_REF2="e{number}">{text_element("ANNOTATION_VALUE", label.text)}'
                "</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
            )
        stream.write("  </TIER>\n")
    stream.write('  <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="hit" TIME_ALIGNABLE="true"/>\n')
    stream.write("</ANNOTATION_DOCUMENT>\n")
