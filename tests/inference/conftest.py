import pytest
import torch
from tiny_chain import Chain, train_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Chain:
    return train_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture
def one_thread():
    """Sums on several threads differ in their last bits; other tests keep their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
