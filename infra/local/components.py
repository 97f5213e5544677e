"""The components of the platform on one machine, in the order in which they start."""

import os
from pathlib import Path

from infra import services
from infra.local import object_store, proxy
from infra.local.run import HOST, Run
from infra.local.supervisor import Component

CULL_SECONDS = 3600
"""A server without activity for so long is ended; so is a kernel (images/notebook)."""

_CULL_PERIOD_SECONDS = 300


def components(run: Run) -> list[Component]:
    """Write the configuration of every component and return them all.

    Raises PlatformError if a program is missing.
    """
    secrets = run.state.load_secrets()
    config = Path(__file__).parent
    python = run.program(run.services, "python")
    for name in ("jupyterhub-singleuser", "jupyter-lab", "dask", "python"):
        run.program(run.notebook, name)
    return [
        Component(
            name="object-store",
            command=object_store.command(run),
            health_url=object_store.health_url(run),
        ),
        Component(
            name="proxy",
            command=[
                run.program(run.services, "traefik"),
                f"--configFile={proxy.write_configuration(run)}",
            ],
            health_url=proxy.health_url(run),
        ),
        # Before the hub, which waits for services that it knows to have an address.
        Component(
            name="dask-gateway",
            command=[
                run.program(run.services, "dask-gateway-server"),
                f"--config={config}/dask_gateway_config.py",
            ],
            environment={
                "PATH": f"{run.notebook}{os.pathsep}{os.environ['PATH']}",
                "TMPDIR": str(run.state.dask_gateway / "temporary"),
            },
            health_url=f"{run.dask_gateway_url}/api/health",
        ),
        Component(
            name="hub",
            command=[
                run.program(run.services, "jupyterhub"),
                f"--config={config}/jupyterhub_config.py",
            ],
            # By way of the proxy: the hub starts to listen before the proxy knows the way to it.
            health_url=f"{run.url}/hub/health",
        ),
        Component(
            name="dask-dashboard-login",
            command=[python, f"{services.__path__[0]}/dask_dashboard_login.py"],
            environment={
                "JUPYTERHUB_API_TOKEN": secrets.dask_gateway_token,
                "JUPYTERHUB_API_URL": run.hub_api_url,
                "JUPYTERHUB_BASE_URL": "/",
                "JUPYTERHUB_CLIENT_ID": "service-dask-gateway",
                "JUPYTERHUB_SERVICE_NAME": "dask-gateway",
                "JUPYTERHUB_SERVICE_PREFIX": "/services/dask-gateway/",
                "DASK_GATEWAY_URL": run.dask_gateway_url,
                "DASK_DASHBOARD_LOGIN_ADDRESS": f"{HOST}:{run.ports.dask_dashboard_login}",
            },
            health_url=(
                f"http://{HOST}:{run.ports.dask_dashboard_login}"
                "/services/dask-gateway/dashboard-login/health"
            ),
        ),
        Component(
            name="idle-culler",
            command=[
                run.program(run.services, "jupyterhub-idle-culler"),
                f"--url={run.hub_api_url}",
                f"--timeout={CULL_SECONDS}",
                f"--cull-every={_CULL_PERIOD_SECONDS}",
            ],
            environment={"JUPYTERHUB_API_TOKEN": secrets.idle_culler_token},
        ),
    ]
