"""Tests that share something expensive, or a server's whole list, run in one process."""

import os

import pytest


@pytest.mark.xdist_group("here")
def test_the_runner_knows_of_groups(request: pytest.FixtureRequest) -> None:
    """A runner that does not spreads them without a word, as pytest 9.2 with pytest-xdist 3.8."""
    if "PYTEST_XDIST_WORKER" in os.environ and request.config.getoption("loadgroup"):
        assert request.node.nodeid.endswith("@here")
