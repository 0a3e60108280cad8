from stdsearch.phones import PHONE_INDEX, PHONES, SILENCE, SYMBOLS


def test_phones_are_the_39_of_cmudict_in_alphabetical_order() -> None:
    assert len(PHONES) == 39
    assert list(PHONES) == sorted(set(PHONES))


def test_index_is_the_position_in_symbols_with_silence_first() -> None:
    assert [PHONE_INDEX[symbol] for symbol in SYMBOLS] == list(range(40))
    assert PHONE_INDEX[SILENCE] == 0
