"""What is the same in every Dask Gateway of the platform, run as its configuration.

Loaded by the gateway of one machine, embedded as text in the chart values of the clouds, after the
backend class has been chosen. Reads PANGEO_SETTINGS (see settings.py beside this file).
"""

import asyncio
import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping as MappingType
from urllib.parse import quote

import aiohttp
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.options import Integer, Mapping, Options, Select, String
from traitlets.utils.importstring import import_item

c = get_config()  # type: ignore[name-defined]  # noqa: F821

SETTINGS = json.loads(os.environ["PANGEO_SETTINGS"])
SIZES = {size["name"]: size for size in SETTINGS["worker_sizes"]}
GIB = 2**30
# What Dask Gateway itself tells schedulers and workers; another value would cut them off, or
# turn off the encryption between them. Dask ignores the case of these names.
RESERVED_PREFIXES = ("DASK_GATEWAY_", "DASK_DISTRIBUTED__COMM__")


def class_of(setting):
    """Return the class that a setting holds or names."""
    return import_item(setting) if isinstance(setting, str) else setting


Backend = class_of(c.DaskGateway.backend_class)
ClusterConfig = class_of(Backend.cluster_config_class.default_value)

# Nothing leads to the dashboard of a worker; the scheduler's shows all of them.
# distributed has no `dask-scheduler` and `dask-worker` commands since 2026.6.0.
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]
c.ClusterConfig.worker_cmd = ["dask", "worker", "--no-dashboard"]


def user_environment(requested, username):
    """Return the variables of a user's Dask scheduler and workers.

    The platform's storage settings are always among them. Raises ValueError for requested variables
    that would replace those, or that nothing would resolve.
    """
    storage = {
        name: value.replace("{username}", username)
        for name, value in SETTINGS["storage_environment"].items()
    }
    if not isinstance(requested, MappingType):
        raise ValueError(f"environment: got {requested!r}, expected names with their values")
    for name, value in requested.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"environment: {name!r} is not the name of a variable")
        if not isinstance(value, str):
            raise ValueError(f"environment: {name} must be a text, got {value!r}")
        if name.upper().startswith(RESERVED_PREFIXES) or storage.get(name, value) != value:
            raise ValueError(f"environment: {name} is set by the platform; leave it out")
        if "$(" in value:
            raise ValueError(
                f"environment: {name}={value!r} holds a reference that is not resolved on Dask "
                "workers; give the value itself"
            )
    return {**requested, **storage}


def configure_cluster(options, user):
    """Turn what a user chose into the configuration of a Dask cluster."""
    images = SETTINGS["images"]
    if options.image not in images:
        raise ValueError(f"image: got {options.image!r}, accepted are {', '.join(images)}")
    size = SIZES[options.worker_size]
    limits = SETTINGS["cluster_limits"]
    configuration = {
        "worker_cores": size["cores"],
        "worker_memory": int(size["memory_gib"] * GIB),
        "worker_threads": size["threads"],
        "scheduler_cores": SETTINGS["scheduler_cores"],
        "scheduler_memory": int(SETTINGS["scheduler_memory_gib"] * GIB),
        # Dask Gateway counts the scheduler in, the platform's limits do not.
        "cluster_max_cores": limits["cores"] + SETTINGS["scheduler_cores"],
        "cluster_max_memory": int((limits["memory_gib"] + SETTINGS["scheduler_memory_gib"]) * GIB),
        "cluster_max_workers": limits["workers"],
        "idle_timeout": options.idle_minutes * 60,
        "environment": user_environment(options.environment, user.name),
    }
    if ClusterConfig.class_traits().get("image"):
        configuration["image"] = options.image
    return configuration


sizes_label = "; ".join(
    f"{size['name']}: {size['cores']:g} cores, {size['memory_gib']:g} GiB"
    for size in SIZES.values()
)
idle = SETTINGS["idle_minutes"]
c.Backend.cluster_options = Options(
    Select("worker_size", list(SIZES), label=f"Worker size ({sizes_label})"),
    String("image", default=SETTINGS["images"][0], label="Image"),
    Mapping("environment", default={}, label="Environment variables"),
    Integer(
        "idle_minutes",
        default=idle["default"],
        min=idle["minimum"],
        max=idle["maximum"],
        label=f"End when idle for (minutes, {idle['minimum']} to {idle['maximum']})",
    ),
    handler=configure_cluster,
)


class PangeoBackend(Backend):
    """A backend in which a user's clusters share that user's limits and end with their server."""

    async def setup(self, app):
        """Start with the backend's own set-up, then watch the servers of users."""
        # Workers of each cluster: as many as were granted, or more that have not ended yet.
        self._workers = {}
        self._owners = {}
        self._creating = defaultdict(asyncio.Lock)
        await super().setup(app)
        self._watch = asyncio.create_task(self._end_clusters_without_server())

    async def cleanup(self):
        """Stop watching, then clean up as the backend does."""
        self._watch.cancel()
        await super().cleanup()

    async def start_cluster(self, user, cluster_options):
        """Start a cluster, if the user has a server and room for it and one worker."""
        try:
            has_server = await self._has_server(user.name)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PublicException("The hub does not answer; try again in a few seconds.") from error
        if not has_server:
            raise PublicException(
                "A Dask cluster lives as long as your server on the hub, and none is running. "
                "Start your server, then create the cluster from there."
            )
        _, config = await self.process_cluster_options(user, cluster_options)
        async with self._creating[user.name]:
            listed = {cluster.name for cluster in await self.list_clusters(username=user.name)}
            # The list may not know yet of clusters that were created a moment ago.
            created = {name for name, owner in self._owners.items() if owner == user.name}
            if len(listed | created) >= SETTINGS["clusters_per_user"]:
                raise PublicException(
                    f"{user.name} may have {SETTINGS['clusters_per_user']} Dask clusters at a "
                    "time; shut one down first."
                )
            room = await self._room_for_workers(user.name, config.to_dict())
            if room < 1:
                raise PublicException(self._no_room(user.name, room))
            name = await super().start_cluster(user, cluster_options)
            self._workers[name] = 0
            self._owners[name] = user.name
            return name

    async def forward_message_to_scheduler(self, cluster, msg):
        """Pass a request to scale on, unless the user's other clusters leave too little room."""
        wanted = msg.get("count") or msg.get("minimum") or 0
        room = await self._room_for_workers(cluster.username, cluster.config, cluster.name)
        if wanted > room:
            raise PublicException(self._no_room(cluster.username, room))
        await super().forward_message_to_scheduler(cluster, msg)

    async def on_cluster_heartbeat(self, cluster_name, msg):
        """Grant a cluster no more workers than its user has room for."""
        cluster = await self.get_cluster(cluster_name)
        if cluster is not None:
            room = await self._room_for_workers(cluster.username, cluster.config, cluster_name)
            msg["count"] = max(0, min(msg["count"], room))
            present = len(msg["active_workers"]) + len(msg["closing_workers"])
            self._workers[cluster_name] = max(msg["count"], present)
        await super().on_cluster_heartbeat(cluster_name, msg)

    async def _room_for_workers(self, username, config, cluster_name=None):
        """Return how many workers like `config`'s fit beside the user's other clusters."""
        limits = SETTINGS["user_limits"]
        cores, memory, workers = limits["cores"], limits["memory_gib"] * GIB, limits["workers"]
        for other in await self.list_clusters(username=username):
            if other.name != cluster_name:
                # After a restart, until its next heartbeat, a cluster may have all it ever can.
                count = self._workers.get(other.name, other.config["cluster_max_workers"])
                cores -= count * other.config["worker_cores"]
                memory -= count * other.config["worker_memory"]
                workers -= count
        return max(
            0,
            min(
                int(cores // config["worker_cores"]),
                int(memory // config["worker_memory"]),
                int(workers),
            ),
        )

    def _no_room(self, username, room):
        limits = SETTINGS["user_limits"]
        return (
            f"The Dask clusters of {username} may have {limits['workers']} workers, "
            f"{limits['cores']:g} cores and {limits['memory_gib']:g} GiB together, and the other "
            f"clusters leave room for {room} workers of this size here. Ask for fewer, or shut "
            "another cluster down."
        )

    async def _has_server(self, username):
        """Tell whether the hub runs a server of the user. Raises on an answer that is neither."""
        hub = self.parent.authenticator
        async with self.session.get(
            f"{hub.jupyterhub_api_url}/users/{quote(username, safe='')}",
            headers={"Authorization": f"token {hub.jupyterhub_api_token}"},
        ) as response:
            if response.status == 404:
                return False
            response.raise_for_status()
            return bool((await response.json()).get("servers"))

    async def _end_clusters_without_server(self):
        """Stop clusters whose owner was seen without a server twice in a row.

        Twice, since a hub that has just started may not know yet which servers it found running.
        """
        missing = set()
        while True:
            await asyncio.sleep(SETTINGS["server_check_seconds"])
            try:
                missing = await self._check_servers(missing)
            except Exception:
                self.log.warning("Could not end clusters without server", exc_info=True)

    async def _check_servers(self, missing):
        """Stop the clusters of those who are missing still; return who is missing now."""
        clusters = await self.list_clusters()
        names = {cluster.name for cluster in clusters}
        for known in (self._workers, self._owners):
            for name in known.keys() - names:
                del known[name]
        without = set()
        for owner in {cluster.username for cluster in clusters}:
            try:
                if not await self._has_server(owner):
                    without.add(owner)
            except (aiohttp.ClientError, TimeoutError):
                self.log.warning("The hub did not say whether %s has a server", owner)
        for cluster in clusters:
            if cluster.username in without & missing:
                self.log.info("Stopping cluster %s: its owner has no server", cluster.name)
                await self.stop_cluster(cluster.name)
        return without


c.DaskGateway.backend_class = PangeoBackend
