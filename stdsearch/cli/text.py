"""Values as people and pipes read them."""

import re

from stdsearch.errors import CONTROLS


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss.ss, without hours where there are none.

    >>> clock(75.5), clock(3725)
    ('1:15.50', '1:02:05.00')
    """
    minutes, seconds = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:05.2f}" if hours else f"{minutes}:{seconds:05.2f}"


def counted(number: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def field(value: object) -> str:
    r"""A value as a field of a table: NULL is empty; what would break the line or steer a terminal is escaped.

    >>> field(None), field(0.5), field("a\tb")
    ('', '0.5', 'a\\tb')
    """
    if value is None:
        return ""
    return re.sub(CONTROLS, lambda control: repr(control[0])[1:-1], str(value).replace("\\", "\\\\"))


def cell(value: object) -> str:
    r"""A field as rich shows it, which would take [brackets] for markup.

    >>> cell("yes [noise]")
    'yes \\[noise]'
    """
    from rich.markup import escape

    return escape(field(value))
