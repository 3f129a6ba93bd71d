import pytest

from kmedtl.errors import UserError
from kmedtl.report import browser


@pytest.fixture(scope="session")
def chromium():
    """An installed browser."""
    try:
        return browser.find()
    except UserError as error:
        pytest.skip(str(error))
