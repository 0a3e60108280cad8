"""What an interrupted preparation has found so far: JSON lines [key, dur, words], appended as utterances finish."""

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType

from stdsearch.errors import StdSearchError
from train.manifest import words_from_json, words_to_json
from train.prepare.utterance import Found

SYNC_SECONDS = 5.0  # work that a power cut may cost


class WorkFile:
    """Findings by key, on disk. A half-written last line, as a killed process leaves it, is cut off when opened."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise StdSearchError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise StdSearchError(
                f"{path}: another preparation works on it; wait for it, or give another --out"
            ) from None
        except OSError:  # a file system without locks
            pass
        self.path = path
        self._offsets: dict[str, int] = {}
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._offsets[json.loads(line)[0]] = whole
            whole += len(line)
        self._file.truncate(whole)
        self._synced = time.monotonic()

    def __enter__(self) -> "WorkFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._sync()
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def __getitem__(self, key: str) -> Found:
        self._file.seek(self._offsets[key])
        _, dur, words = json.loads(self._file.readline())
        return Found(dur, words_from_json(words, str(self.path)))

    def __setitem__(self, key: str, found: Found) -> None:
        self._offsets[key] = self._file.seek(0, os.SEEK_END)
        line = json.dumps([key, found.dur, words_to_json(found.words)], ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        if time.monotonic() > self._synced + SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()
