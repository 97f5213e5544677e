"""The shared configuration of Dask Gateway, loaded by the real library without a server.

Decides what users are offered and what they get. That clusters obey is tested in tests/local.
"""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dask_gateway_server.app import DaskGateway
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import User
from traitlets.config import Config

from infra import services
from infra.services.settings import SETTINGS_VARIABLE, ServiceSettings

LOCAL = "dask_gateway_server.backends.local.UnsafeLocalBackend"
KUBERNETES = "dask_gateway_server.backends.kubernetes.KubeBackend"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, settings: ServiceSettings) -> Any:
    """Give a function that loads the file as the gateway's configuration for a backend."""

    def loaded(backend: str) -> Any:
        config = Config()
        config.DaskGateway.backend_class = backend
        monkeypatch.setenv(SETTINGS_VARIABLE, settings.to_json())
        text = (Path(services.__path__[0]) / "gateway_config.py").read_text()
        exec(compile(text, "gateway_config.py", "exec"), {"get_config": lambda: config})
        return config.DaskGateway.backend_class(parent=DaskGateway(config=config))

    return loaded


def configured(backend: Any, **options: Any) -> Any:
    """Return the configuration of a cluster that Ada asks for with these options."""
    return asyncio.run(backend.process_cluster_options(User("ada"), options))[1]


@pytest.mark.parametrize("backend", [LOCAL, KUBERNETES])
def test_storage_settings_of_the_user_reach_clusters_on_every_backend(
    load: Any, backend: str
) -> None:
    config = configured(load(backend), environment={"MODE": "fast"})
    assert config.environment == {
        "MODE": "fast",
        "SCRATCH_BUCKET": "gs://scratch/ada",
        "FSSPEC_GCS": json.dumps({"requester_pays": True}),
    }


@pytest.mark.parametrize("backend", [LOCAL, KUBERNETES])
def test_clusters_never_live_for_ever_and_never_exceed_their_limits(
    load: Any, backend: str
) -> None:
    config = configured(load(backend))
    assert config.idle_timeout == 30 * 60, "Dask Gateway's own default is 0, which is never"
    assert config.cluster_max_workers == 4
    assert config._worker_limit_from_resources() == 4, "the scheduler eats a worker's place"
    assert config.scheduler_cmd[-1] == "scheduler"
    assert config.worker_cmd[:2] == ["dask", "worker"], "distributed has no dask-worker any more"


def test_on_kubernetes_workers_run_the_image_that_was_chosen(load: Any) -> None:
    backend = load(KUBERNETES)
    assert configured(backend).image == "pangeo/notebook:1"
    assert configured(backend, image="pangeo/notebook:2").image == "pangeo/notebook:2"
    with pytest.raises(PublicException, match="accepted are pangeo/notebook:1, pangeo/notebook:2"):
        configured(backend, image="evil:latest")


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"SCRATCH_BUCKET": "gs://other"}, "SCRATCH_BUCKET is set by the platform"),
        ({"DASK_GATEWAY_API_URL": "http://evil"}, "DASK_GATEWAY_API_URL is set by the platform"),
        ({"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "no"}, "is set by the platform"),
        ({"A": "$(B)"}, r"A='\$\(B\)' holds a reference"),
        ({"A-B": "1"}, "'A-B' is not the name of a variable"),
        ({"A": 1}, "A must be a text, got 1"),
    ],
)
def test_variables_that_would_break_a_cluster_are_refused(
    load: Any, variables: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(PublicException, match=complaint):
        configured(load(LOCAL), environment=variables)


def test_repeating_a_setting_of_the_platform_is_no_mistake(load: Any) -> None:
    config = configured(load(LOCAL), environment={"SCRATCH_BUCKET": "gs://scratch/ada"})
    assert config.environment["SCRATCH_BUCKET"] == "gs://scratch/ada"


def test_a_size_is_cores_memory_and_threads_together(load: Any) -> None:
    config = configured(load(KUBERNETES), worker_size="large")
    assert (config.worker_cores, config.worker_memory, config.worker_threads) == (
        2,
        8 * 2**30,
        2,
    ), "threads left to Dask Gateway follow from cores rounded down"


class Cluster(SimpleNamespace):
    """A cluster as the gateway's backends describe it."""

    name: str
    username: str
    config: dict[str, float]


WORKER: dict[str, float] = {"worker_cores": 1, "worker_memory": 4 * 2**30}


def room(backend: Any, others: dict[str, int], config: dict[str, float] = WORKER) -> int:
    """Return the room beside other clusters, given by name and granted workers."""
    clusters = [Cluster(name=name, username="ada", config=WORKER) for name in others]

    async def list_clusters(username: str | None = None) -> list[Cluster]:
        return clusters

    backend.list_clusters = list_clusters
    backend._granted = others
    count: int = asyncio.run(backend._room_for_workers("ada", config, "mine"))
    return count


@pytest.mark.parametrize(
    ("others", "expected"),
    [({}, 6), ({"a": 2}, 4), ({"a": 4, "b": 2}, 0), ({"a": 4, "b": 4}, 0), ({"mine": 5}, 6)],
)
def test_a_users_clusters_share_the_users_limit(
    load: Any, others: dict[str, int], expected: int
) -> None:
    assert room(load(LOCAL), others) == expected


def test_the_scarcest_of_cores_memory_and_workers_decides(load: Any) -> None:
    wide: dict[str, float] = {"worker_cores": 1, "worker_memory": 10 * 2**30}
    assert room(load(LOCAL), {}, wide) == 2, "24 GiB hold two workers of 10 GiB, not three"
