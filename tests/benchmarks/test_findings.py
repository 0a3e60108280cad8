from pathlib import Path

import numpy as np
from findings import Findings, Found, digest, kept

from stdsearch.rescore import Candidates


def found(kwid: str, n: int) -> Found:
    at = np.arange(n, dtype=np.float64)
    places = Candidates(np.arange(n, dtype=np.int32), np.ones(n, np.int16), at, at + 0.5, -at)
    return Found(kwid, places, {"ratio": at / 2, "pace": at + 1})


def test_findings_are_made_once_and_come_back_as_they_were(tmp_path: Path) -> None:
    made: list[Findings] = []

    def make() -> Findings:
        kinds = {"text": [found("KW-1", 3), found("KW-2", 0)], "text+audio1": [found("KW-2", 2)]}
        made.append(Findings(kinds, {"text": 0.25, "text+audio1": 1.5}))
        return made[-1]

    path = tmp_path / "new" / "peer.npz"
    first, second = kept(path, make), kept(path, make)
    assert len(made) == 1
    for read in (first, second):
        assert read.cost == made[0].cost
        assert list(read.found) == list(made[0].found)
        for kind, terms in made[0].found.items():
            for term, back in zip(terms, read.found[kind], strict=True):
                assert back.kwid == term.kwid
                for name in ("recording_id", "channel", "tbeg", "tend", "score"):
                    values, stored = getattr(term.places, name), getattr(back.places, name)
                    assert stored.dtype == values.dtype
                    assert np.array_equal(stored, values)
                assert list(back.features) == ["ratio", "pace"]
                assert all(np.array_equal(back.features[name], value) for name, value in term.features.items())


def test_a_digest_tells_contents_and_where_one_ends(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("ab")
    assert digest("ab", "c") == digest(file, "c") == digest(b"ab", "c")
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("c", "ab")}) == 4
    before = digest(file)
    file.write_text("ac")
    assert digest(file) != before
