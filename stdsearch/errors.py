"""The one error a user can mend."""


class StdSearchError(Exception):
    """Bad input or a bad state that the user can mend.

    The message is one line: it names the file (and line) first, says what is wrong,
    then what to do. The command line prints it and exits with code 1; a bug keeps its traceback.
    """
