"""A Kaldi data directory: wav.scp, text and utt2spk; segments and reco2file_and_channel if there are any.

https://kaldi-asr.org/doc/data_prep.html
"""

from pathlib import Path

from stdsearch.errors import StdSearchError
from train.prepare.source import SourceUtterance, checked, number, text_lines

_CHANNELS = {"A": 1, "B": 2, "1": 1, "2": 2}


def read_kaldi(path: Path, *, audio_root: Path | None = None) -> list[SourceUtterance]:
    """The utterances of a Kaldi data directory.

    Relative paths in wav.scp start from audio_root, by default, as in Kaldi, from the current directory. An entry
    that is a command (`sph2pipe ... |`) is refused: no program from a data directory is run.
    """
    audio: dict[str, Path] = {}
    for recording, (place, value) in _entries(path / "wav.scp").items():
        if value.endswith("|"):
            raise StdSearchError(f"{place}: {recording} is a command; convert its output to files and list their paths")
        audio[recording] = (audio_root or Path()) / value
    stretches = _stretches(path / "segments") if (path / "segments").exists() else {}
    channel_file = path / "reco2file_and_channel"
    channels = _entries(channel_file) if channel_file.exists() else {}
    speakers = _entries(path / "utt2spk")
    utterances = []
    for utterance, (place, text) in _entries(path / "text").items():
        recording, tbeg, dur = stretches.get(utterance, (utterance, 0.0, None))
        if recording not in audio:
            raise StdSearchError(f"{place}: {utterance} has no audio in {path / 'wav.scp'}; add it, or drop the line")
        if not speakers.get(utterance, ("", ""))[1]:
            raise StdSearchError(f"{place}: {utterance} has no speaker in {path / 'utt2spk'}; add it, or drop the line")
        channel_place, entry = channels.get(recording, (place, "1"))
        channel = (entry.split() or [""])[-1]
        if channel not in _CHANNELS:
            raise StdSearchError(f"{channel_place}: channel {channel!r} is unknown; write A or B")
        utterances.append(
            SourceUtterance(
                utterance=utterance,
                split="",
                corpus="",
                speaker=speakers[utterance][1],
                audio=audio[recording],
                channel=_CHANNELS[channel],
                tbeg=tbeg,
                dur=dur,
                text=text,
                place=place,
            )
        )
    return checked(path, utterances)


def _entries(path: Path) -> dict[str, tuple[str, str]]:
    """A file of lines `key value...`, as {key: (file:line, value)}."""
    entries: dict[str, tuple[str, str]] = {}
    for place, line in text_lines(path):
        key, *value = line.split(maxsplit=1)
        if key in entries:
            raise StdSearchError(f"{place}: {key} is also at {entries[key][0]}; leave one out")
        entries[key] = (place, value[0].strip() if value else "")
    return entries


def _stretches(path: Path) -> dict[str, tuple[str, float, float | None]]:
    """The recording, tbeg and dur of each utterance in `segments`; an end of -1 is the end of the recording."""
    stretches: dict[str, tuple[str, float, float | None]] = {}
    for utterance, (place, value) in _entries(path).items():
        fields = value.split()
        if len(fields) != 3:
            raise StdSearchError(f"{place}: a segment is `utterance recording begin end`; correct the line")
        tbeg, tend = number(fields[1], place, "begin"), number(fields[2], place, "end")
        if tend != -1 and not tend > tbeg:
            raise StdSearchError(f"{place}: the segment ends before it begins; correct the line")
        stretches[utterance] = (fields[0], tbeg, None if tend == -1 else tend - tbeg)
    return stretches
