"""Times as people read them."""


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss.ss, without hours where there are none.

    >>> clock(75.5), clock(3725)
    ('1:15.50', '1:02:05.00')
    """
    minutes, seconds = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:05.2f}" if hours else f"{minutes}:{seconds:05.2f}"
