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
"""The share of the machine's memory for the Dask workers of one cluster. The other half is for what
else runs on the machine: the hub and its services (about 0.6 GiB), notebooks, schedulers."""

_SIZE_NAMES = ("small", "medium", "large")


def worker_sizes(cores: int, memory_gib: float) -> tuple[WorkerSize, ...]:
    """Return the sizes of worker for a machine with so many cores and so much memory (GiB).

    Each size is twice the one before; at least two of the smallest fit in one cluster.
    """
    per_core = max(0.5, int(10 * memory_gib * _MEMORY_SHARE / max(cores, 2)) / 10)
    return tuple(
        WorkerSize(name=name, cores=2**step, memory_gib=per_core * 2**step, threads=2**step)
        for step, name in enumerate(_SIZE_NAMES)
        if 2**step <= max(cores, 1)
    )


def service_settings(run: Run) -> ServiceSettings:
    """Return the settings of this machine: sizes of worker, limits, where the buckets are."""
    secrets = run.state.load_secrets()
    cores = max(os.cpu_count() or 1, 2)
    sizes = worker_sizes(os.cpu_count() or 1, psutil.virtual_memory().total / 2**30)
    memory = sizes[0].memory_gib * cores
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
        cluster_limits=WorkerLimits(cores=cores, memory_gib=memory, workers=cores),
        # Two clusters at once, so that one forgotten in another notebook is not in the way.
        user_limits=WorkerLimits(cores=2 * cores, memory_gib=2 * memory, workers=2 * cores),
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
