"""The shared configuration of the hub, given to the spawner of the clouds without a cluster.

Decides what a user's server finds in its environment there. What it finds on one machine is tested
in tests/local.
"""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.objects import Hub, Server
from kubespawner import KubeSpawner
from traitlets.config import Config

from infra import services
from infra.services.settings import SETTINGS_VARIABLE, ServiceSettings


@pytest.fixture(autouse=True)
def no_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let KubeSpawner make pods without looking for a cluster."""
    monkeypatch.setattr("kubespawner.spawner.load_config", lambda **options: None)
    monkeypatch.setattr("kubespawner.spawner.shared_client", lambda name: None)


@pytest.fixture
def hub_config(monkeypatch: pytest.MonkeyPatch, settings: ServiceSettings) -> Any:
    """Give the configuration that the file makes."""
    config = Config()
    monkeypatch.setenv(SETTINGS_VARIABLE, settings.to_json())
    text = (Path(services.__path__[0]) / "hub_config.py").read_text()
    exec(compile(text, "hub_config.py", "exec"), {"get_config": lambda: config})
    return config


def pod_environment(config: Any, **overrides: Any) -> dict[str, str]:
    """Return the environment of the pod of Ada's server, as KubeSpawner would create it."""
    user = SimpleNamespace(
        name="ada", id=1, url="/user/ada/", server=Server(), escaped_name="ada", settings={}
    )

    async def environment() -> dict[str, str]:
        spawner = KubeSpawner(hub=Hub(), user=user, config=config, _mock=True, **overrides)
        spawner.api_token = "token"
        spawner.run_pre_spawn_hook()
        pod = await spawner.get_pod_manifest()
        return {variable.name: variable.value for variable in pod.spec.containers[0].env}

    return asyncio.run(environment())


def test_a_server_on_kubernetes_finds_the_users_buckets(hub_config: Any) -> None:
    found = pod_environment(hub_config)
    assert found["SCRATCH_BUCKET"] == "gs://scratch/ada"
    assert json.loads(found["FSSPEC_GCS"]) == {"requester_pays": True}, (
        "braces in a variable are lost, or kill every spawn"
    )
    # The client of Dask Gateway fills this in from the server's environment.
    assert found["DASK_GATEWAY__PUBLIC_ADDRESS"] == "{JUPYTERHUB_SERVICE_PREFIX}proxy/dask-gateway"


def test_dask_workers_run_the_image_of_the_server(hub_config: Any) -> None:
    found = pod_environment(hub_config, image="pangeo/notebook:2")
    assert found["DASK_GATEWAY__CLUSTER__OPTIONS__IMAGE"] == "pangeo/notebook:2"


def test_a_servers_token_opens_dask_gateway_and_nothing_else_of_the_hub(hub_config: Any) -> None:
    assert hub_config.Spawner.server_token_scopes == [
        "users:activity!user",
        "access:servers!server",
        "access:services!service=dask-gateway",
    ]
    roles = {role["name"]: role["scopes"] for role in hub_config.JupyterHub.load_roles._extend}
    assert roles["dask-gateway"] == ["read:servers"], "Dask Gateway may do more than it needs"
    assert "admin" not in str(roles)
