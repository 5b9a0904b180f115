"""Ratings counted in the unit of their scale, which is how every network of ours sees them.

A unit of 1 leaves no operation behind, in training or in a graph.
"""

from torch import Tensor


def in_units(ratings: Tensor, unit: float) -> Tensor:
    """Ratings, or differences of ratings, counted in units."""
    return ratings if unit == 1 else ratings / unit


def out_of_units(counted: Tensor, unit: float) -> Tensor:
    """The way back."""
    return counted if unit == 1 else counted * unit
