"""The phone set: the 39 phones of ARPAbet as CMUdict uses them, without stress, and silence."""

PHONES: tuple[str, ...] = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
SILENCE = "SIL"
SYMBOLS = (SILENCE, *PHONES)  # the columns of phone posteriors and the rows of phone embeddings
PHONE_INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}
