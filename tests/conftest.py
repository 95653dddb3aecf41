"""`pytest --update-golden` rewrites the golden files; read the difference before you commit it."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Machines are loaded and slow at will: no example of a property test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
