"""The benchmark of the best movies, where implicit is installed."""

import pytest

from benchmarks.top_n import compare_top_n


def test_ours_finds_what_implicit_finds() -> None:
    pytest.importorskip("implicit", reason="implicit is of the `bench` extra")
    figures = compare_top_n(num_users=300, width=16, batch_size=128)
    assert figures.agreement > 0.999
    assert min(figures.ours, figures.implicit, figures.ratio) > 0
