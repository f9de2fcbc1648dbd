"""Jobs that need neither Ray nor a network."""

import pytest


@pytest.fixture(autouse=True)
def _with_pyarrow():
    pytest.importorskip("pyarrow", reason="the extra [ray] brings pyarrow")
