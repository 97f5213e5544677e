"""The Dask Gateway of one machine: what is particular to it, then services/gateway_config.py."""

import os
from pathlib import Path
from typing import Any

from dask_gateway_server.backends.local import UnsafeLocalBackend
from traitlets.config import get_config

from infra import services
from infra.local.run import HOST, load_run
from infra.local.service_settings import service_settings
from infra.local.state import STATE_VARIABLE
from infra.services.settings import SETTINGS_VARIABLE

c = get_config()
run = load_run()
secrets = run.state.load_secrets()

c.DaskGateway.address = f"{HOST}:{run.ports.dask_gateway_api}"
c.Proxy.address = f"{HOST}:{run.ports.dask_gateway_proxy}"
c.Proxy.prefix = "/services/dask-gateway"
c.Proxy.api_token = secrets.dask_proxy_token

c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"
c.JupyterHubAuthenticator.jupyterhub_service_name = "dask-gateway"
c.JupyterHubAuthenticator.jupyterhub_api_url = run.hub_api_url
c.JupyterHubAuthenticator.jupyterhub_api_token = secrets.dask_gateway_token


class HomeBackend(UnsafeLocalBackend):  # type: ignore[misc]
    """Runs clusters as processes of the gateway's own account, each in the home of its user.

    The other local backend needs root and an account for every user.
    """

    def get_env(self, cluster: Any) -> dict[str, str]:
        """Return the environment of a process, in which the user's own settings are found."""
        home = run.state.homes / cluster.username
        return {**super().get_env(cluster), "HOME": str(home)}


c.DaskGateway.backend_class = HomeBackend
c.LocalBackend.clusters_directory = str(run.state.dask_gateway / "clusters")
c.LocalBackend.inherited_environment = ["PATH", "LANG", "LC_ALL", "TMPDIR", STATE_VARIABLE]
# Clusters outlive a gateway that was killed.
c.DBBackendBase.db_url = f"sqlite:///{run.state.dask_gateway}/clusters.sqlite"
c.DBBackendBase.db_encrypt_keys = [secrets.dask_encrypt_key.encode()]
# Seconds until a lost cluster or worker is noticed; asking costs nothing on one machine.
c.DBBackendBase.cluster_status_period = 5
c.DBBackendBase.worker_status_period = 5

dask = str(run.notebook / "dask")
c.LocalClusterConfig.scheduler_cmd = [dask, "scheduler"]
c.LocalClusterConfig.worker_cmd = [dask, "worker", "--no-dashboard", "--host", HOST]

os.environ[SETTINGS_VARIABLE] = service_settings(run).to_json()
shared = Path(services.__path__[0]) / "gateway_config.py"
exec(compile(shared.read_text(), shared, "exec"))
