import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stdsearch.metrics.grouped import expand_ranges, running_max_by_group, searchsorted_by_group

pairs = st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5).map(lambda x: round(x, 1))), max_size=30)


@given(pairs, pairs, st.sampled_from(["left", "right"]))
def test_searchsorted_by_group_equals_searching_each_group(rows, queries, side):
    rows = sorted(rows)
    group, value = np.array([g for g, _ in rows], dtype=int), np.array([v for _, v in rows], dtype=float)
    asked, query = np.array([g for g, _ in queries], dtype=int), np.array([v for _, v in queries], dtype=float)
    expected = [
        np.searchsorted(group, g) + np.searchsorted(value[group == g], q, side=side)
        for g, q in zip(asked, query, strict=True)
    ]
    np.testing.assert_array_equal(searchsorted_by_group(group, value, asked, query, side=side), expected)


@given(pairs)
def test_running_max_by_group_equals_a_loop(rows):
    rows.sort(key=lambda row: row[0])
    expected = [max(v for g, v in rows[: i + 1] if g == rows[i][0]) for i in range(len(rows))]
    group, value = np.array([g for g, _ in rows], dtype=int), np.array([v for _, v in rows], dtype=float)
    np.testing.assert_array_equal(running_max_by_group(group, value), expected)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=10))
def test_expand_ranges_equals_a_loop(ranges):
    start, stop = np.array([a for a, _ in ranges], dtype=int), np.array([b for _, b in ranges], dtype=int)
    row, position = expand_ranges(start, stop)
    expected = [(i, p) for i, (a, b) in enumerate(ranges) for p in range(a, b)]
    assert list(zip(row.tolist(), position.tolist(), strict=True)) == expected
