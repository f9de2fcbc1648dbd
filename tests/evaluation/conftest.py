import pytest
from street import make_street


@pytest.fixture
def street(tmp_path):
    """What `make_street` makes."""
    return make_street(tmp_path)
