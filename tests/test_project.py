"""Promises of the repository: what an install carries, what is pinned, how it is laid out."""

import ast
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra import services
from infra.local.errors import PlatformError
from infra.local.run import PROJECT
from infra.local.state import Secrets, StateDirectory


def locked(lock: Path) -> dict[str, dict[str, Any]]:
    """Return the packages of a lock file by name."""
    return {package["name"]: package for package in tomllib.loads(lock.read_text())["package"]}


SERVICES = locked(PROJECT / "uv.lock")
NOTEBOOK = locked(PROJECT / "images" / "notebook" / "uv.lock")


def test_hub_and_user_servers_are_of_the_same_version() -> None:
    assert SERVICES["jupyterhub"]["version"] == NOTEBOOK["jupyterhub"]["version"]


def test_the_client_and_the_server_of_dask_gateway_are_of_the_same_version() -> None:
    assert SERVICES["dask-gateway-server"]["version"] == NOTEBOOK["dask-gateway"]["version"]


@pytest.mark.parametrize("cloud", ["pulumi-gcp", "pulumi-aws", "pulumi-azure-native"])
def test_the_platform_on_one_machine_pulls_no_cloud_sdk(cloud: str) -> None:
    asked = subprocess.run(
        [
            shutil.which("uv") or ".tools/bin/uv",
            "export",
            "--locked",
            "--quiet",
            "--extra",
            "local",
            "--no-hashes",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "jupyterhub==" in asked
    assert cloud not in asked, "the demo would download hundreds of megabytes that it never uses"


def test_users_find_the_drivers_of_every_clouds_object_store() -> None:
    assert {"gcsfs", "s3fs", "adlfs", "h5netcdf", "xarray", "zarr"} <= set(NOTEBOOK)


@pytest.mark.parametrize("name", ["hub_config.py", "gateway_config.py", "dask_dashboard_login.py"])
def test_files_that_charts_embed_import_nothing_of_this_project(name: str) -> None:
    tree = ast.parse((Path(services.__path__[0]) / name).read_text())
    imported = {
        module.split(".")[0]
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported, "the test has read no imports"
    assert "infra" not in imported, "a hub in a cloud, where there is no infra, would not start"


def test_the_top_level_holds_what_tools_force_there_and_nothing_else() -> None:
    tracked = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode != 0:
        pytest.skip("not a checkout of git")
    assert set(tracked.stdout.split()) == {
        ".ci",
        ".gitignore",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "Pulumi.aks.yaml",
        "Pulumi.eks.yaml",
        "Pulumi.gke.yaml",
        "Pulumi.yaml",
        "README.md",
        "images",
        "infra",
        "pyproject.toml",
        "tests",
        "uv.lock",
    }


def test_make_help_lists_every_target_that_readme_names() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("demo", "up", "down", "test", "lint", "bench", "screenshot"):
        assert f"make {target} " in listed, f"a newcomer does not find make {target}"
        assert f"make {target}" in (PROJECT / "README.md").read_text()


def test_secrets_are_made_once_and_do_not_show(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    made = state.load_secrets()
    assert state.load_secrets() == made, "a restart would lock everybody out"
    assert made != Secrets()
    assert made.user_password not in repr(made)


def test_damaged_secrets_are_named_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(PlatformError, match=r"secrets\.json: damaged .* restore it, or delete it"):
        StateDirectory(tmp_path).load_secrets()
    assert (tmp_path / "secrets.json").read_text() == "{", "what could be restored was overwritten"


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"too long for a socket .* name a shorter one"):
        StateDirectory(tmp_path / ("x" * 100)).prepare()
