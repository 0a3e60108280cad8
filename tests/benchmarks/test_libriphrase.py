import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from libriphrase import choose, evaluate, read_official
from phrase_trials import Kind, Row

from stdsearch.errors import StdSearchError

COLUMNS = [f"{side}{part}" for side in ("anchor", "comparison") for part in ("", "_spk", "_text", "_dur")]


def official(path: Path, *rows: tuple) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "type", "target", "class"])
        writer.writerows(rows)
    return path


def test_rows_of_the_official_files(tmp_path):
    cat, other_cat = ("other/1/a.wav", "1", "cat", 0.5), ("other/2/b.wav", "2", "cat", 0.75)
    dog = ("other/3/c.wav", "3", "dog", 0.5)
    first = official(tmp_path / "1.csv", (*cat, *other_cat, "diffspk_positive", 1, 1))
    second = official(tmp_path / "2.csv", (*cat, *dog, "diffspk_hardneg", 0, 1))
    phrases = read_official([first, second], tmp_path)
    assert phrases.rows == [Row(0, 1, Kind.POSITIVE), Row(0, 2, Kind.HARD)]
    assert [clip.audio for clip in phrases.clips] == [
        tmp_path / "other" / name for name in ("1/a.wav", "2/b.wav", "3/c.wav")
    ]
    assert (phrases.clips[1].speaker, phrases.clips[1].text, phrases.clips[1].end) == ("2", "cat", 0.75)
    assert phrases.phones == {"cat": ("K", "AE", "T"), "dog": ("D", "AO", "G")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("anchor,type\na.wav,diffspk_positive\n", "anchor_text"), ("no table", "give libriphrase")],
)
def test_other_files_are_refused(tmp_path, text, reason):
    path = tmp_path / "1.csv"
    path.write_text(text + "\nx", encoding="utf-8")
    with pytest.raises(StdSearchError, match=rf"1.csv:\d: no row of LibriPhrase .*{reason}"):
        read_official([path], tmp_path)


def test_a_set_chosen_from_a_manifest_and_scored_by_embeddings(spoken, sure_encoder):
    phrases = choose(spoken, ["dev"], small=True)
    result = evaluate(sure_encoder, phrases)
    assert [(t["enrolment"], t["expansion"], t["set"]) for t in result["trials"]] == [
        (enrolment, expansion, name)
        for enrolment, expansion in (("T", 4), ("T", 2), ("A", 2), ("TA", 2))
        for name in ("LP-E", "LP-H")
    ]
    assert {(t["eer"], t["auc"], t["eer_distinct"], t["auc_distinct"]) for t in result["trials"]} == {
        (0.0, 1.0, 0.0, 1.0)
    }
    of_one_word = result["words"][1]
    # cat, cap and dog are said by anna and by bo; thunder twice by bo, lighthouse by cleo
    assert (of_one_word["clips"], of_one_word["phrases"], of_one_word["phrases_of_two_speakers"]) == (9, 5, 3)
    assert (of_one_word["anchor_phrases"], of_one_word["episodes"], of_one_word["rows_positive"]) == (3, 6, 6)
    assert result["scorer"] == "cosine"


def test_trials_that_come_twice_are_counted_and_scored_once(spoken, sure_encoder):
    phrases = choose(spoken, ["dev"], small=True)
    phrases.rows[:] = [Row(0, 4, Kind.POSITIVE), Row(0, 4, Kind.POSITIVE), Row(0, 2, Kind.EASY), Row(0, 2, Kind.HARD)]
    trials = evaluate(sure_encoder, phrases)["trials"]
    four = trials[0]
    assert (four["n_trials"], four["n_targets"], four["n_distinct"], four["n_distinct_targets"]) == (4, 2, 4, 2)
    two = trials[2]
    assert (two["n_trials"], two["n_targets"], two["n_distinct"], two["n_distinct_targets"]) == (6, 4, 4, 2)


def test_a_corpus_without_pairs_is_told(spoken):
    with pytest.raises(StdSearchError, match="train has too few phrases said by several speakers"):
        choose(spoken, ["train"], small=True)
    with pytest.raises(StdSearchError, match="or --small"):
        choose(spoken, ["dev"])


class Listener:
    """A verifier that hears how loud the middle of a span is, and knows how loud three words are."""

    def __init__(self):
        self.asked = set()
        self.loudness = {("K", "AE", "T"): 1 / 16, ("K", "AE", "P"): 2 / 16, ("D", "AO", "G"): 3 / 16}

    def score(self, spans, *, phones=(), example=None):
        self.asked.add((bool(phones), example is not None))
        wanted = example[len(example) // 2, 0] if example is not None else self.loudness.get(phones, 1.0)
        return np.array([-abs(span[len(span) // 2, 0] - wanted) for span in spans], np.float32)


def test_a_verifier_gets_what_each_enrolment_gives(monkeypatch, spoken, sure_encoder):
    def cut(frames, tbeg, tend, *, margin=0.08):
        return frames.hidden[round((tbeg - margin) * 100) : round((tend + margin) * 100)]

    monkeypatch.setitem(sys.modules, "stdsearch.verifier", SimpleNamespace(cut=cut))
    phrases = choose(spoken, ["dev"], small=True)
    listener = Listener()
    result = evaluate(sure_encoder, phrases, verifier=listener)
    assert result["scorer"] == "verifier"
    assert listener.asked == {(True, False), (False, True), (True, True)}
    assert {trial["auc"] for trial in result["trials"] if trial["enrolment"] != "T"} == {1.0}
