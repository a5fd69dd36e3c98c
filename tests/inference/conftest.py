import pytest
from tiny_chain import Chain, train_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Chain:
    return train_chain(tmp_path_factory.mktemp("chain"))
