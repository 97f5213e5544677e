"""What is the same in every hub of the platform. JupyterHub runs this file as configuration.

Loaded by the hub of one machine, embedded as text in the chart values of the clouds. Reads
PANGEO_SETTINGS (see settings.py beside this file).
"""

import json
import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821

SETTINGS = json.loads(os.environ["PANGEO_SETTINGS"])
DASK_GATEWAY_ACCESS = "access:services!service=dask-gateway"

# The name is used verbatim as a folder in buckets and as a directory of homes. No +, as some e-mail
# addresses have it: JupyterHub 6.1 starts such a server and then refuses its user there.
c.Authenticator.username_pattern = r"[a-z0-9][a-z0-9._@-]{0,62}$"

# A server's token opens the user's own server and Dask clusters, nothing else of the hub.
c.Spawner.server_token_scopes = [
    "users:activity!user",
    "access:servers!server",
    DASK_GATEWAY_ACCESS,
]
c.JupyterHub.load_roles.extend(
    [
        {"name": "user", "scopes": ["self", DASK_GATEWAY_ACCESS]},
        # Dask Gateway ends the clusters of users who have no server any more.
        {"name": "dask-gateway", "services": ["dask-gateway"], "scopes": ["read:servers"]},
    ]
)


def set_user_environment(spawner):
    """Give a server the platform's variables."""
    variables = {**SETTINGS["storage_environment"], **SETTINGS["server_environment"]}
    # Dask workers run the image of the notebook, whichever the user chose.
    variables["DASK_GATEWAY__CLUSTER__OPTIONS__IMAGE"] = (
        getattr(spawner, "image", None) or SETTINGS["images"][0]
    )
    for name, value in variables.items():
        resolved = value.replace("{username}", spawner.user.name)
        # KubeSpawner formats every variable once more; braces are doubled to survive that.
        if spawner.has_trait("pod_name_template"):
            resolved = resolved.replace("{", "{{").replace("}", "}}")
        spawner.environment[name] = resolved


c.Spawner.pre_spawn_hook = set_user_environment
