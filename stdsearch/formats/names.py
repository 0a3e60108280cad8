"""What people call a recording: its path, or its base name, with or without extension."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from unicodedata import normalize


def numbers_by_name(recordings: Sequence[str]) -> Callable[[str], list[int]]:
    """What tells the numbers of the recordings that a name may mean; whole paths go before base names.

    However its letters are put together: a macOS disk has e and ´ where a table has é.
    """
    exact = {path: [number] for number, path in enumerate(recordings)}
    whole: dict[str, list[int]] = {}
    base: dict[str, list[int]] = {}
    for number, path in enumerate(recordings):
        name = PurePosixPath(normalize("NFC", path))
        whole.setdefault(str(name), []).append(number)
        for other in {str(name.parent / name.stem), name.name, name.stem} - {str(name)}:
            base.setdefault(other, []).append(number)
    named = {**base, **whole, **exact}
    return lambda name: named.get(name) or named.get(normalize("NFC", name), [])
