"""The hub of one machine: what is particular to it, then services/hub_config.py."""

import os
from pathlib import Path

from traitlets.config import get_config

from infra import services
from infra.local.run import HOST, NOTEBOOK_IMAGE, load_run
from infra.local.service_settings import service_settings
from infra.local.state import STATE_VARIABLE
from infra.services.settings import SETTINGS_VARIABLE

c = get_config()
run = load_run()
secrets = run.state.load_secrets()

c.JupyterHub.bind_url = run.url
c.JupyterHub.hub_bind_url = f"http://{HOST}:{run.ports.hub_api}"
c.JupyterHub.db_url = f"sqlite:///{run.state.hub}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret = bytes.fromhex(secrets.hub_cookie_secret)

# Traefik runs beside the hub, so that servers stay reachable while the hub does not run.
c.JupyterHub.proxy_class = "traefik_file"
c.TraefikFileProviderProxy.should_start = False
c.TraefikFileProviderProxy.dynamic_config_file = str(run.state.config / "routes.yaml")
c.TraefikFileProviderProxy.traefik_api_url = f"http://{HOST}:{run.ports.proxy_api}"
c.TraefikFileProviderProxy.traefik_api_username = "hub"
c.TraefikFileProviderProxy.traefik_api_password = secrets.proxy_api_password

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = secrets.user_password
c.Authenticator.allow_all = True

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(run.state.homes / "{username}")
c.Spawner.cmd = [str(run.notebook / "jupyterhub-singleuser")]
if os.geteuid() == 0:
    c.Spawner.args = ["--allow-root"]
c.Spawner.env_keep.append(STATE_VARIABLE)
c.Spawner.environment = {
    "PATH": f"{run.notebook}{os.pathsep}{os.environ['PATH']}",
    # Where the container image has /etc/jupyter.
    "JUPYTER_CONFIG_PATH": str(NOTEBOOK_IMAGE),
}

c.JupyterHub.services = [
    {
        "name": "dask-gateway",
        "url": f"http://{HOST}:{run.ports.dask_gateway_proxy}",
        "api_token": secrets.dask_gateway_token,
        "oauth_no_confirm": True,
        "display": False,
    },
    {"name": "idle-culler", "api_token": secrets.idle_culler_token},
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]

os.environ[SETTINGS_VARIABLE] = service_settings(run).to_json()
shared = Path(services.__path__[0]) / "hub_config.py"
exec(compile(shared.read_text(), shared, "exec"))
