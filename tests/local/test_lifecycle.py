"""Coming up and going down: what stays, what does not, and what a user reads when it fails.

Every test has a state directory of its own and uses the command as a user does.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from infra.local import lifecycle, main_job, supervisor
from infra.local.errors import PlatformError
from infra.local.hub_user import HubUser
from infra.local.report import Report
from infra.local.run import NOTEBOOK_ENVIRONMENT_VARIABLE
from infra.local.state import StateDirectory
from tests.conftest import STATE, Pangeo, bring_up


def only_line(text: str) -> str:
    """Return the one line that an error consists of."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, f"an error is one clear line, not this:\n{text}"
    return lines[0]


def test_the_demo_runs_the_main_job_and_reports_every_step(pangeo: Pangeo, tmp_path: Path) -> None:
    done = pangeo("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    reports = tmp_path / STATE / "reports"
    report = json.loads((reports / "demo.json").read_text())
    assert report["succeeded"]
    for step in report["steps"]:
        assert step["name"] in done.stdout, "the table misses a step of the report"
    expected = ["hub healthy", "logged in", "server ready", "cluster ready", "two workers ready"]
    names = [step["name"] for step in report["steps"]]
    assert [name for name in names if name in expected] == expected

    notebook = json.loads((reports / main_job.FIRST_NOTEBOOK.name).read_text())
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook["cells"]}
    analysed = "".join(outputs["analyse"][0]["text"])
    # The fraction that the eofs package computes from the NetCDF file itself, without Dask.
    assert "EOF 1 explains 48.9863% of the variance" in analysed
    assert any("image/png" in output.get("data", {}) for output in outputs["plot"])
    for cell, given in outputs.items():
        assert not [o for o in given if o.get("name") == "stderr"], f"cell {cell} warns users"

    state = StateDirectory(tmp_path / STATE)
    assert not list(lifecycle.processes_of(state)), "the demo leaves processes behind"
    home = state.homes / main_job.DEMO_USER / main_job.FIRST_NOTEBOOK.name
    assert home.read_text() == main_job.FIRST_NOTEBOOK.read_text(), "a new home has no notebook"


def test_going_down_and_up_keeps_homes_buckets_and_password(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / STATE)
    run = bring_up(state.root)
    try:
        password = state.load_secrets().user_password
        with HubUser(run.url, "ada", password) as ada:
            ada.start_server()
            with ada.kernel() as kernel:
                kernel.execute(
                    "import s3fs, os, pathlib\n"
                    "s3fs.S3FileSystem().pipe(os.environ['PERSISTENT_BUCKET'] + '/kept', b'data')\n"
                    "pathlib.Path('kept.txt').write_text('home')\n",
                    timeout=60,
                )
    finally:
        lifecycle.stop(state)
    assert not list(lifecycle.processes_of(state)), "processes stay behind"
    assert lifecycle.running(state) is None

    run = bring_up(state.root)
    try:
        with HubUser(run.url, "ada", password) as ada:
            ada.start_server()
            with ada.kernel() as kernel:
                reply = kernel.execute(
                    "import s3fs, os, pathlib\n"
                    "s3 = s3fs.S3FileSystem()\n"
                    "print(s3.cat(os.environ['PERSISTENT_BUCKET'] + '/kept').decode())\n"
                    "print(pathlib.Path('kept.txt').read_text())\n",
                    timeout=60,
                )
        assert reply["outputs"][0]["text"] == "data\nhome\n", "a restart loses what users keep"
    finally:
        lifecycle.stop(state)


def test_what_a_killed_run_left_is_cleaned_up_at_the_next_start(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / STATE)
    run = bring_up(state.root)
    with HubUser(run.url, "ada", state.load_secrets().user_password) as ada:
        ada.start_server()
    before = list(lifecycle.processes_of(state))
    os.kill(int((state.config / "supervisord.pid").read_text()), signal.SIGKILL)
    survivors = [process for process in before if process.is_running()]
    assert len(survivors) > 5, "nothing survived, so this test shows nothing"
    console = Console(record=True, quiet=False, file=io.StringIO())
    try:
        lifecycle.start(state, Report(console))
        assert "An earlier run was killed" in console.export_text()
        assert not [process for process in survivors if process.is_running()]
    finally:
        lifecycle.stop(state)
    assert not list(lifecycle.processes_of(state))


@pytest.mark.parametrize("how", ["interrupted", "taken down from elsewhere"])
def test_up_stays_up_alone_until_it_is_ended(pangeo: Pangeo, tmp_path: Path, how: str) -> None:
    state = StateDirectory(tmp_path / STATE)
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local.cli", "up", "--state", str(state.root)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        invitation = []
        for line in process.stdout:
            invitation.append(line)
            if "make down" in line:
                break
        assert state.load_secrets().user_password in "".join(invitation)

        refused = pangeo("up")
        assert refused.returncode == 1
        assert "already up at http://127.0.0.1:" in only_line(refused.stderr)
        assert "make down" in refused.stderr

        if how == "interrupted":
            process.send_signal(signal.SIGINT)
        else:
            assert pangeo("down").stdout == "Down. Homes and buckets are kept.\n"
        rest = process.stdout.read()
        process.wait(60)
    assert "Down." in rest
    assert not list(lifecycle.processes_of(state)), "processes stay behind"
    assert pangeo("down").stdout == "Was not up.\n"


def test_a_platform_that_is_taken_down_while_it_comes_up_says_so(
    pangeo: Pangeo, tmp_path: Path
) -> None:
    state = StateDirectory(tmp_path / STATE)
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local.cli", "up", "--state", str(state.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "proxy healthy" in line:
                break
        assert pangeo("down").returncode == 0
        process.stdout.read()
        assert "was taken down while it came up" in only_line(process.stderr.read())
        assert process.wait(60) == 1
    assert not list(lifecycle.processes_of(state))


def test_a_taken_port_is_named(pangeo: Pangeo, taken_port: int) -> None:
    refused = pangeo("up", "--port", str(taken_port))
    assert refused.returncode == 1
    line = only_line(refused.stderr)
    assert f"port {taken_port} of 127.0.0.1: Address already in use" in line
    assert "PORT=" in line, "the user is not told what to do"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_another_address_is_refused_with_the_shared_password(pangeo: Pangeo, address: str) -> None:
    refused = pangeo("up", "--address", address)
    assert refused.returncode == 1
    assert f"address {address}: refused" in only_line(refused.stderr)
    assert "127.0.0.1" in refused.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a directory on a disk of 64 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named(pangeo: Pangeo, small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / STATE).symlink_to(small_disk, target_is_directory=True)
    refused = pangeo("up")
    assert refused.returncode == 1
    line = only_line(refused.stderr)
    assert "64 MiB free on its disk, 1024 MiB needed" in line
    assert "STATE=" in line


@pytest.mark.parametrize("missing", ["dask", "jupyterhub-singleuser"])
def test_a_missing_program_is_named(pangeo: Pangeo, tmp_path: Path, missing: str) -> None:
    environment = tmp_path / "environment" / "bin"
    environment.mkdir(parents=True)
    for name in {"dask", "jupyterhub-singleuser", "jupyter-lab", "python"} - {missing}:
        shutil.copy("/bin/true", environment / name)
    refused = pangeo(
        "up", env={**os.environ, NOTEBOOK_ENVIRONMENT_VARIABLE: str(environment.parent)}
    )
    assert refused.returncode == 1
    line = only_line(refused.stderr)
    assert f"{missing}: no such program in {environment}" in line
    assert "make clean environments" in line


def test_a_state_directory_that_holds_something_else_is_left_alone(
    pangeo: Pangeo, tmp_path: Path
) -> None:
    (tmp_path / STATE).mkdir(mode=0o755)
    (tmp_path / STATE / "thesis.tex").touch()
    refused = pangeo("up")
    assert refused.returncode == 1
    assert "holds other things already" in only_line(refused.stderr)
    assert (tmp_path / STATE).stat().st_mode & 0o777 == 0o755, "others are locked out of it"


def test_a_path_that_the_supervisor_cannot_take_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"# and % in its path cannot be handled"):
        StateDirectory(tmp_path / "100% #1").prepare()


def test_a_state_directory_that_cannot_be_written_is_named(pangeo: Pangeo, tmp_path: Path) -> None:
    (tmp_path / STATE).write_text("a file where a directory should be")
    refused = pangeo("up")
    assert refused.returncode == 1
    assert f"state directory {tmp_path / STATE}: " in only_line(refused.stderr)
    (tmp_path / STATE).unlink()


def test_a_component_that_does_not_start_is_named_with_its_log(
    pangeo: Pangeo, tmp_path: Path
) -> None:
    state = StateDirectory(tmp_path / STATE)
    state.prepare()
    (state.hub / "jupyterhub.sqlite").write_text("not a database")
    failed = pangeo("up")
    assert failed.returncode == 1
    line = only_line(failed.stderr)
    assert line.startswith("error: hub: ended: ")
    assert str(supervisor.log_file(state, "hub")) in line
    assert not list(lifecycle.processes_of(state)), "a failed start leaves processes behind"
