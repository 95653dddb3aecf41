"""`pytest --update-golden` rewrites the golden files; read the difference before you commit it."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# With `pytest -n 2` the workers are the threads: said before anything imports torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines are loaded and slow at will: no example of a property test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
