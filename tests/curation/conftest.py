"""One Ray for all tests of curation: a start costs seconds, and stages join a running one."""

import pytest

from pdm.machine.cluster import ray_session


@pytest.fixture(scope="package")
def ray_cluster():
    with ray_session(num_cpus=2):
        yield
