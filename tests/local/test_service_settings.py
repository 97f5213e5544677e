"""The Dask workers that a machine offers: whatever it is, it is not asked for more than it has."""

import pytest

from infra.local.service_settings import worker_offer


@pytest.mark.parametrize(
    ("cores", "memory"), [(1, 2), (2, 4), (2, 24), (8, 32), (64, 16), (64, 512)]
)
def test_all_workers_of_a_user_leave_half_the_memory_to_everything_else(
    cores: int, memory: float
) -> None:
    sizes, cluster, user = worker_offer(cores, memory)
    assert user.memory_gib <= memory / 2, "a user could make the machine swap"
    assert 2 <= cluster.workers <= user.workers
    for size in sizes:
        assert cluster.holds(size), f"no cluster could ever have a worker of size {size.name}"
        assert size.threads == size.cores
    assert [size.cores for size in sizes] == [2**step for step in range(len(sizes))]


def test_a_small_machine_offers_one_size_and_a_large_one_three() -> None:
    assert [size.name for size in worker_offer(1, 4)[0]] == ["small"]
    assert [size.name for size in worker_offer(16, 64)[0]] == ["small", "medium", "large"]
