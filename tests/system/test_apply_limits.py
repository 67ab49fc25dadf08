from __future__ import annotations

from resource import RLIM_INFINITY as NONE
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.apply_limits import completed

if TYPE_CHECKING:
    from cbox_init.system.apply_limits import Pair


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        ((5, 7), (1, 2), (5, 7)),
        ((NONE, NONE), (1, 2), (NONE, NONE)),
        ((0, 0), (NONE, NONE), (0, 0)),
        # A soft one alone leaves the hard one, and raises it when it must.
        ((5, None), (10, 20), (5, 20)),
        ((25, None), (10, 20), (25, 25)),
        ((25, None), (10, NONE), (25, NONE)),
        ((NONE, None), (10, 20), (NONE, NONE)),
        # A hard one alone leaves the soft one, and lowers it when it must.
        ((None, 15), (10, 20), (10, 15)),
        ((None, 5), (10, 20), (5, 5)),
        ((None, 5), (NONE, NONE), (5, 5)),
        ((None, NONE), (10, 20), (10, NONE)),
    ],
)
def test_one_of_two_limits(wanted: Pair, present: tuple[int, int], expected: tuple[int, int]) -> None:
    assert completed(wanted, present) == expected
