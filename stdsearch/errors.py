"""The one error a user can mend, and what may stand in its message."""

CONTROLS = r"[\x00-\x1f\x7f-\x9f]"  # as a regular expression: characters that steer terminals; no stored name has them


class StdSearchError(Exception):
    """Bad input or a bad state that the user can mend.

    The message is one line: it names the file (and line) first, says what is wrong,
    then what to do. The command line prints it and exits with code 1; a bug keeps its traceback.
    """


def is_utf8(name: object) -> bool:
    r"""Whether a file's name is text that can be stored; Python reads bytes that are none as lone surrogates.

    >>> is_utf8("café"), is_utf8("caf\udce9")
    (True, False)
    """
    return not any("\ud800" <= letter <= "\udfff" for letter in str(name))


def in_a_line(text: object, *, longest: int = 200) -> str:
    r"""What a stranger's file or a library says, as part of a message: one line, cut, without control characters.

    >>> in_a_line("two\nlines\x1b[2J")
    'two lines?[2J'
    """
    line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(str(text).split()))
    return line if len(line) <= longest else line[: longest - 3] + "..."
