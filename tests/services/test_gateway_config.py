"""The shared configuration of Dask Gateway, loaded by the real library without a server.

Decides what users are offered and what they get. That clusters obey is tested in tests/local.
"""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
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
        ({"DASK_distributed__comm__require_encryption": "no"}, "is set by the platform"),
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


WORKER: dict[str, float] = {
    "worker_cores": 1,
    "worker_memory": 4 * 2**30,
    "cluster_max_workers": 4,
}


class Gateway:
    """The shared backend with clusters that exist by name only: all of them are Ada's."""

    def __init__(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend = backend
        self.clusters: dict[str, SimpleNamespace] = {}
        self.passed_on: list[dict[str, Any]] = []
        base = type(backend).__mro__[1]

        async def nothing(*arguments: Any) -> None:
            """Stand for what the backend does with processes."""

        async def list_clusters(username: str | None = None) -> list[SimpleNamespace]:
            return list(self.clusters.values())

        async def get_cluster(name: str) -> SimpleNamespace | None:
            return self.clusters.get(name)

        async def has_server(username: str) -> bool:
            return True

        async def create(this: Any, user: User, options: dict[str, Any]) -> str:
            return self.add(f"new-{len(self.clusters)}")

        async def take(this: Any, name: str, msg: dict[str, Any]) -> None:
            self.passed_on.append(msg)

        for name, stand_in in (("setup", nothing), ("start_cluster", create)):
            monkeypatch.setattr(base, name, stand_in)
        monkeypatch.setattr(base, "on_cluster_heartbeat", take)
        monkeypatch.setattr(backend, "list_clusters", list_clusters)
        monkeypatch.setattr(backend, "get_cluster", get_cluster)
        monkeypatch.setattr(backend, "_has_server", has_server)

    def add(self, name: str) -> str:
        """Let a cluster exist."""
        self.clusters[name] = SimpleNamespace(name=name, username="ada", config=WORKER)
        return name

    async def heartbeat(self, name: str, count: int, active: int = 0) -> int:
        """Let a cluster ask for workers while it has some; return what is granted."""
        msg = {"count": count, "active_workers": ["w"] * active, "closing_workers": []}
        await self.backend.on_cluster_heartbeat(name, msg)
        granted: int = self.passed_on[-1]["count"]
        return granted


@pytest.fixture
def gateway(load: Any, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """Give the shared backend without processes."""
    return Gateway(load(LOCAL), monkeypatch)


def story(gateway: Gateway, tell: Any) -> Any:
    """Run a coroutine in which the gateway is up."""

    async def run() -> Any:
        await gateway.backend.setup(None)
        try:
            return await tell
        finally:
            gateway.backend._watch.cancel()

    return asyncio.run(run())


def test_clusters_of_a_user_get_no_more_workers_together_than_the_users_limit(
    gateway: Gateway,
) -> None:
    async def tell() -> list[int]:
        first = await gateway.backend.start_cluster(User("ada"), {})
        second = await gateway.backend.start_cluster(User("ada"), {})
        return [
            await gateway.heartbeat(first, 4),
            await gateway.heartbeat(second, 100),
            await gateway.heartbeat(first, 100),
        ]

    # 24 GiB of the user hold six workers of 4 GiB.
    assert story(gateway, tell()) == [4, 2, 4], "adaptive clusters take the whole machine"


@pytest.mark.parametrize(("claimed", "active"), [(-1000, 0), (0, 4)])
def test_a_cluster_that_understates_what_it_has_frees_no_room_for_others(
    gateway: Gateway, claimed: int, active: int
) -> None:
    async def tell() -> int:
        first = await gateway.backend.start_cluster(User("ada"), {})
        second = await gateway.backend.start_cluster(User("ada"), {})
        await gateway.heartbeat(first, claimed, active)
        return await gateway.heartbeat(second, 1000)

    assert story(gateway, tell()) == 6 - active, "a forged heartbeat lifts the limit"


def test_after_a_restart_clusters_count_in_full_until_they_have_spoken(gateway: Gateway) -> None:
    async def tell() -> list[int]:
        old, new = gateway.add("old"), gateway.add("new")
        return [
            await gateway.heartbeat(new, 4, active=2),
            await gateway.heartbeat(old, 1, active=1),
            await gateway.heartbeat(new, 4, active=2),
        ]

    assert story(gateway, tell()) == [2, 1, 4]


def test_a_user_has_only_so_many_clusters(gateway: Gateway) -> None:
    async def tell() -> None:
        await asyncio.gather(*(gateway.backend.start_cluster(User("ada"), {}) for _ in range(5)))

    with pytest.raises(PublicException, match="ada may have 4 Dask clusters at a time"):
        story(gateway, tell())
    assert len(gateway.clusters) == 4, "schedulers without workers fill the machine"


def test_a_hub_that_does_not_answer_is_named(gateway: Gateway) -> None:
    async def no_answer(username: str) -> bool:
        raise aiohttp.ClientConnectionError

    gateway.backend._has_server = no_answer
    with pytest.raises(PublicException, match="hub does not answer; try again"):
        story(gateway, gateway.backend.start_cluster(User("ada"), {}))
