# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the co-simulation suite."""

from __future__ import annotations

import pytest

from cosim import simulators


@pytest.fixture(params=simulators.SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> str:
    """Each simulator in turn; one that is not installed is skipped, and the summary says why."""
    name: str = request.param
    reason = simulators.missing(name)
    if reason is not None:
        pytest.skip(reason)
    return name
