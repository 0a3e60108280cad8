"""Values as text: strict when read, exact when written."""

from decimal import Decimal
from math import isfinite
from typing import Any

import numpy as np

LARGEST_WHOLE = 999_999_999  # a channel or a count beyond it is a mistake; it fits every format's integers
LATEST = 1e9  # seconds: 32 years; no recording lasts longer


class BadValueError(ValueError):
    """A text is not the value it should be; the message says why, and the reader adds file and line."""


def finite(name: str, text: str) -> float:
    """The finite number that the text says.

    >>> finite("score", "-1.5e-3")
    -0.0015
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not isfinite(value) or "_" in text:  # Python reads 1_000 as a number, no other tool of the field does
        raise BadValueError(f"{name} {text[:40]!r} is not a finite number")
    return value


def moment(name: str, text: str) -> float:
    """The number of seconds, no more than LATEST before or after 0, that the text says."""
    value = finite(name, text)
    if abs(value) > LATEST:
        raise BadValueError(f"{name} {text[:40]!r} is more seconds than a recording lasts")
    return value


def seconds(name: str, text: str) -> float:
    """The number of seconds, from 0 to LATEST, that the text says."""
    value = moment(name, text)
    if value < 0:
        raise BadValueError(f"{name} {text[:40]!r} is negative")
    return value


def whole(name: str, text: str) -> int:
    """The whole number, from 0 to LARGEST_WHOLE, that the text says."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadValueError(f"{name} {text[:40]!r} is not a whole number of at most 9 digits")
    return int(text)


def named(name: str, text: str) -> str:
    """The text, if it can be a name."""
    if not text or "\0" in text:
        raise BadValueError(f"{name} {text[:40]!r} is empty or holds a null character")
    return text


def choice(name: str, text: str, choices: tuple[str, ...]) -> str:
    """The text, if it is one of the choices."""
    if text not in choices:
        raise BadValueError(f"{name} {text[:40]!r} must be {' or '.join(map(repr, choices))}")
    return text


def plain(value: Any) -> Any:
    """A value of DuckDB's as JSON knows them: what it has no number for is null, what it has no kind for is text.

    >>> plain(float("nan")), plain((Decimal("1.5"), b"a"))
    (None, [1.5, "b'a'"])
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def decimal(value: float) -> str:
    """The number without an exponent, with at least 3 decimals and as many as it takes to be read back the same.

    >>> decimal(0.5), decimal(1 / 3), decimal(1e-7)
    ('0.500', '0.3333333333333333', '0.0000001')
    """
    short = f"{value:.3f}"
    return short if float(short) == value else np.format_float_positional(value, trim="-")
