"""The sizes of Dask workers that a machine offers."""

import pytest

from infra.local.service_settings import worker_sizes


@pytest.mark.parametrize(("cores", "memory"), [(1, 2), (2, 4), (2, 24), (8, 32), (64, 512)])
def test_two_of_the_smallest_workers_and_one_of_each_fit_half_the_machine(
    cores: int, memory: float
) -> None:
    sizes = worker_sizes(cores, memory)
    assert 2 * sizes[0].memory_gib <= max(1, memory / 2), "two workers leave no room for the rest"
    for size in sizes:
        assert size.threads == size.cores <= max(cores, 1)
        assert size.memory_gib <= max(1, memory / 2)
    assert [size.cores for size in sizes] == [2**step for step in range(len(sizes))]


def test_a_small_machine_offers_one_size_and_a_large_one_three() -> None:
    assert [size.name for size in worker_sizes(1, 4)] == ["small"]
    assert [size.name for size in worker_sizes(16, 64)] == ["small", "medium", "large"]
