"""What the hub and Dask Gateway of one machine are told about it."""

import os

import psutil

from infra.local.run import HOST, Run
from infra.services.settings import ServiceSettings, WorkerLimits, WorkerSize

DATA_BUCKET = "data"
SCRATCH_BUCKET = "scratch"
PERSISTENT_BUCKET = "persistent"

IMAGE = "images/notebook"
"""The one image on offer: without containers it is the environment of that name."""

_MEMORY_SHARE = 0.5
"""The share of the machine's memory for the Dask workers of one user. The other half is for what
else runs: the hub and its services (about 0.6 GiB), notebooks, schedulers."""

_SMALLEST_GIB = 0.5
"""Memory (GiB) below which a worker with xarray is of no use: it takes 0.3 GiB with empty hands."""

_SIZE_NAMES = ("small", "medium", "large")


def worker_offer(
    cores: int, memory_gib: float
) -> tuple[tuple[WorkerSize, ...], WorkerLimits, WorkerLimits]:
    """Return the sizes of worker, and the limits per cluster and per user, for a machine.

    Memory in GiB. A user has room for two clusters, so that one forgotten in another notebook is
    not in the way; a cluster has room for one of the smallest workers per core, and for two at
    least. Each size is twice the one before.
    """
    share = memory_gib * _MEMORY_SHARE
    per_cluster = max(cores, 2)
    small = max(_SMALLEST_GIB, int(10 * share / (2 * per_cluster)) / 10)
    per_user = max(2, min(2 * per_cluster, int(share / small)))
    per_cluster = max(2, min(per_cluster, per_user // 2))
    sizes = tuple(
        WorkerSize(name=name, cores=2**step, memory_gib=small * 2**step, threads=2**step)
        for step, name in enumerate(_SIZE_NAMES)
        if 2**step <= min(max(cores, 1), per_cluster)
    )
    cluster, user = (
        WorkerLimits(cores=workers, memory_gib=small * workers, workers=workers)
        for workers in (per_cluster, per_user)
    )
    return sizes, cluster, user


def service_settings(run: Run) -> ServiceSettings:
    """Return the settings of this machine: sizes of worker, limits, where the buckets are."""
    secrets = run.state.load_secrets()
    sizes, cluster_limits, user_limits = worker_offer(
        os.cpu_count() or 1, psutil.virtual_memory().total / 2**30
    )
    gateway = f"http://{HOST}:{run.ports.public}/services/dask-gateway"
    return ServiceSettings(
        storage_environment={
            "SCRATCH_BUCKET": f"s3://{SCRATCH_BUCKET}/{{username}}",
            "PERSISTENT_BUCKET": f"s3://{PERSISTENT_BUCKET}/{{username}}",
            "DATA_BUCKET": f"s3://{DATA_BUCKET}",
            **s3_environment(run, secrets.user_access_key, secrets.user_secret_key),
        },
        server_environment={
            "DASK_GATEWAY__ADDRESS": gateway,
            # By way of the user's server (images/notebook/pangeo_server.py), for JupyterLab's sake.
            "DASK_GATEWAY__PUBLIC_ADDRESS": "{JUPYTERHUB_SERVICE_PREFIX}proxy/dask-gateway",
            "DASK_GATEWAY__PROXY_ADDRESS": f"gateway://{HOST}:{run.ports.dask_gateway_proxy}",
            "DASK_GATEWAY__AUTH__TYPE": "jupyterhub",
            "DASK_LABEXTENSION__FACTORY__MODULE": "dask_gateway",
            "DASK_LABEXTENSION__FACTORY__CLASS": "GatewayCluster",
        },
        images=(IMAGE,),
        worker_sizes=sizes,
        cluster_limits=cluster_limits,
        user_limits=user_limits,
        scheduler_memory_gib=1,
    )


def s3_environment(run: Run, access_key: str, secret_key: str) -> dict[str, str]:
    """Return the variables with which any S3 client finds and opens the object store."""
    return {
        "AWS_ENDPOINT_URL": run.s3_url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        # Requests are repeated for about a minute, so that a restart of the store loses nothing.
        "AWS_RETRY_MODE": "standard",
        "AWS_MAX_ATTEMPTS": "10",
    }
