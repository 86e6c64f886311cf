"""Copies of the arrays that a step overwrites, in memory that is used again once nobody holds it."""

from __future__ import annotations

import sys

import numpy as np

# Arrays that are kept for each shape and type.
KEPT = 4


def references(arrays):
    """How many references there are to each array of a list, those that it takes to count them included."""
    return [sys.getrefcount(array) for array in arrays]


# To an array that nobody but the list refers to: counted, since it differs between versions of Python.
LISTED = references([np.empty(0)])[0]


class Copies:
    """Copies that are as good as new arrays, and cheaper.

    A new array of some hundred kilobytes is memory that the system must first clear and map, which takes longer than the copy. An
    array that was handed out and that neither a variable nor a view, a tensor or a list refers to any more is taken again.
    """

    def __init__(self):
        self._kept = {}

    def of(self, array):
        """A copy of ``array`` that no later call changes while anything refers to it."""
        kept = self._kept.setdefault((array.shape, array.dtype.char), [])
        for i, count in enumerate(references(kept)):
            if count == LISTED:
                np.copyto(kept[i], array)
                return kept[i]
        new = array.copy()
        if len(kept) < KEPT:
            kept.append(new)
        return new

    def __reduce__(self):
        return Copies, ()
