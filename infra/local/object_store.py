"""The object store of one machine: SeaweedFS, its accounts, its buckets and the sample data."""

import json
import os
import subprocess
from pathlib import Path

from infra.local.errors import PlatformError
from infra.local.run import HOST, Run
from infra.local.service_settings import (
    DATA_BUCKET,
    PERSISTENT_BUCKET,
    SCRATCH_BUCKET,
    s3_environment,
)
from infra.local.state import STATE_VARIABLE, Secrets, write_private

SAMPLE_DATA = "sst-ndjfm-anomaly.zarr"
"""Where the first notebook of users finds its data, in the data bucket."""


def command(run: Run) -> list[str]:
    """Write the accounts of the store and return the command that runs it."""
    accounts = run.state.config / "object-store-accounts.json"
    write_private(accounts, json.dumps(_accounts(run.state.load_secrets()), indent=2))
    ports = run.ports
    return [
        run.program(run.services, "weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={run.state.object_store}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-master.port={ports.master}",
        f"-master.port.grpc={ports.master_grpc}",
        "-master.telemetry=false",
        f"-volume.port={ports.volume}",
        f"-volume.port.grpc={ports.volume_grpc}",
        "-volume.preStopSeconds=0",
        f"-filer.port={ports.filer}",
        f"-filer.port.grpc={ports.filer_grpc}",
        f"-filer.localSocket={run.state.config / 'filer.sock'}",
        f"-s3.port={ports.s3}",
        f"-s3.port.grpc={ports.s3_grpc}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={accounts}",
        f"-s3.localSocket={run.state.config / 's3.sock'}",
        "-webdav=false",
        "-admin.ui=false",
        f"-admin.port={ports.object_store_admin}",
        f"-admin.port.grpc={ports.object_store_admin_grpc}",
    ]


def health_url(run: Run) -> str:
    """Return the URL that answers, without an account, once the S3 API does."""
    return f"{run.s3_url}/healthz"


def prepare(run: Run) -> None:
    """Create the buckets and load the sample data, as the operator, unless that has been done.

    Raises PlatformError, with the last line that the loader printed, if that fails.
    """
    done = run.state.object_store / ".prepared"
    if done.exists():
        return
    secrets = run.state.load_secrets()
    loaded = subprocess.run(
        [
            run.program(run.notebook, "python"),
            str(Path(__file__).with_name("load_data.py")),
            f"s3://{DATA_BUCKET}/{SAMPLE_DATA}",
            f"s3://{SCRATCH_BUCKET}",
            f"s3://{PERSISTENT_BUCKET}",
        ],
        # Nothing else of the operator's environment, which may lead to another store.
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(run.state.root),
            STATE_VARIABLE: str(run.state.root),
            **s3_environment(run, secrets.operator_access_key, secrets.operator_secret_key),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if loaded.returncode != 0:
        lines = loaded.stderr.strip().splitlines() or ["no message"]
        raise PlatformError(f"sample data: could not be loaded: {lines[-1]}")
    done.touch()


def _accounts(secrets: Secrets) -> dict[str, object]:
    """Describe who may do what: users read data and write to the two other buckets."""
    own = (SCRATCH_BUCKET, PERSISTENT_BUCKET)
    return {
        "identities": [
            {
                "name": "operator",
                "credentials": [
                    {
                        "accessKey": secrets.operator_access_key,
                        "secretKey": secrets.operator_secret_key,
                    }
                ],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            },
            {
                "name": "users",
                "credentials": [
                    {"accessKey": secrets.user_access_key, "secretKey": secrets.user_secret_key}
                ],
                "actions": [
                    f"Read:{DATA_BUCKET}",
                    f"List:{DATA_BUCKET}",
                    *(f"{right}:{b}" for b in own for right in ("Read", "Write", "List")),
                ],
            },
        ]
    }
