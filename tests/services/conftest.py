"""Settings of a platform in a cloud, as tests of the shared files use them."""

import json

import pytest

from infra.services.settings import ServiceSettings, WorkerLimits, WorkerSize


@pytest.fixture
def settings() -> ServiceSettings:
    """Give settings of a platform with two images and two sizes of worker."""
    return ServiceSettings(
        storage_environment={
            "SCRATCH_BUCKET": "gs://scratch/{username}",
            "FSSPEC_GCS": json.dumps({"requester_pays": True}),
        },
        server_environment={
            "DASK_GATEWAY__PUBLIC_ADDRESS": "{JUPYTERHUB_SERVICE_PREFIX}proxy/dask-gateway"
        },
        images=("pangeo/notebook:1", "pangeo/notebook:2"),
        worker_sizes=(
            WorkerSize(name="small", cores=1, memory_gib=4, threads=1),
            WorkerSize(name="large", cores=2, memory_gib=8, threads=2),
        ),
        cluster_limits=WorkerLimits(cores=4, memory_gib=16, workers=4),
        user_limits=WorkerLimits(cores=8, memory_gib=24, workers=8),
    )
