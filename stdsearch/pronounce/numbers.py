"""Numbers as they are said in English: readings, tuples of words; where several are usual, the commonest first."""

Reading = tuple[str, ...]

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
}
_MOST_DIGITS = 15  # of a number; those of a longer one are said one by one


def cardinal(number: int) -> Reading:
    """A count below 10^15, without `and`.

    >>> " ".join(cardinal(1_002_345))
    'one million two thousand three hundred forty five'
    """
    if number < 20:
        return (_ONES[number],)
    if number < 100:
        return (_TENS[number // 10], *_rest(number % 10))
    value, name = next(scale for scale in _SCALES if number >= scale[0])
    return (*cardinal(number // value), name, *_rest(number % value))


def _rest(number: int) -> Reading:
    return cardinal(number) if number else ()


def ordinal(text: str) -> Reading:
    """What the digits of a rank are read as.

    >>> ordinal("21"), ordinal("30"), ordinal("100")
    (('twenty', 'first'), ('thirtieth',), ('one', 'hundredth'))
    """
    *before, last = count(text)[0]
    if last in _IRREGULAR_ORDINALS:
        return (*before, _IRREGULAR_ORDINALS[last])
    return (*before, last[:-1] + "ieth" if last.endswith("y") else last + "th")


def digits(text: str) -> Reading:
    """One word a digit.

    >>> digits("007")
    ('zero', 'zero', 'seven')
    """
    return tuple(_ONES[int(digit)] for digit in text)


def count(text: str) -> list[Reading]:
    """What digits that count something may be read as.

    >>> count("105")
    [('one', 'hundred', 'five'), ('one', 'hundred', 'and', 'five')]
    """
    if len(text.lstrip("0")) > _MOST_DIGITS:
        return [digits(text)]
    number = int(text)
    if number > 100 and number % 100:
        return [cardinal(number), (*cardinal(number - number % 100), "and", *cardinal(number % 100))]
    return [cardinal(number), ("a", cardinal(number)[1])] if number in {100, 1000, 10**6} else [cardinal(number)]


def whole_number(text: str) -> list[Reading]:
    """What digits by themselves may be read as: a year, a count, or digit by digit after a leading zero.

    >>> whole_number("1905")[0], whole_number("2005")[0], whole_number("007")
    (('nineteen', 'oh', 'five'), ('two', 'thousand', 'five'), [('zero', 'zero', 'seven')])
    """
    if len(text) > 1 and text.startswith("0"):
        return [digits(text)]
    if len(text) != 4:
        return count(text)
    number = int(text)
    if number < 1100 or number == 2000 or number >= 2100:
        return count(text)
    return [*count(text), _year(number)] if 2000 < number < 2010 else [_year(number), *count(text)]


def _year(number: int) -> Reading:
    """Four digits in two halves."""
    century, rest = divmod(number, 100)
    if not rest:
        return (*cardinal(century), "hundred")
    return (*cardinal(century), *(("oh",) if rest < 10 else ()), *cardinal(rest))


def decimal(whole: str, fraction: str) -> list[Reading]:
    """Readings of the number `whole.fraction`; whole may be empty.

    >>> decimal("3", "14"), decimal("", "5")
    ([('three', 'point', 'one', 'four')], [('point', 'five')])
    """
    return [(*reading, "point", *digits(fraction)) for reading in (count(whole) if whole else [()])]


def decade(text: str) -> list[Reading]:
    """Readings of the decade that begins with a year, of four or of two digits.

    >>> decade("1980")[0], decade("20")
    (('nineteen', 'eighties'), [('twenties',)])
    """
    return [(*before, last[:-1] + "ies" if last.endswith("y") else last + "s") for *before, last in whole_number(text)]


def money(sign: str, whole: str, fraction: str, scale: str) -> list[Reading]:
    """Readings of an amount: `$3.50` has whole 3 and fraction 50, `£2.5 million` has the scale million besides.

    >>> money("$", "3", "50", "")
    [('three', 'dollars', 'fifty', 'cents'), ('three', 'dollars', 'and', 'fifty', 'cents'), ('three', 'fifty')]
    >>> money("£", "2", "5", "million")
    [('two', 'point', 'five', 'million', 'pounds')]
    """
    one, many, small_one, small_many = _CURRENCIES[sign]
    if scale or len(fraction) > 2:
        unit = (scale, many) if scale else (many,)
        return [(*amount, *unit) for amount in (decimal(whole, fraction) if fraction else count(whole))]
    hundredths = int(fraction.ljust(2, "0"))
    small = (*cardinal(hundredths), small_one if hundredths == 1 else small_many)
    if not whole.strip("0") and hundredths:
        return [small]
    large = [(*amount, one if whole == "1" else many) for amount in count(whole)]
    if not hundredths:
        return large
    return [(*large[0], *small), (*large[0], "and", *small), (*count(whole)[0], *cardinal(hundredths))]


def clock(hours: str, minutes: str) -> list[Reading]:
    """Readings of a time of day.

    >>> clock("3", "05"), clock("12", "00")
    ([('three', 'oh', 'five')], [('twelve', "o'clock"), ('twelve',)])
    """
    hour = cardinal(int(hours))
    if not int(minutes):
        return [(*hour, "o'clock"), hour]
    return [(*hour, *(("oh",) if int(minutes) < 10 else ()), *cardinal(int(minutes)))]
