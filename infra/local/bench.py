"""Runs the demo several times and prints the medians as the table that README shows."""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

RUNS = 5

# Steps of the demo that belong together, under the name that README gives them.
MEASURES = {
    "hub ready, after everything before it": (
        "object-store healthy",
        "buckets and sample data in place",
        "proxy healthy",
        "dask-gateway healthy",
        "hub healthy",
    ),
    "server ready, after the login": ("server ready",),
    "cluster ready": ("cluster ready",),
    "two workers ready": ("two workers ready",),
    "notebook done, from its first cell": (
        "libraries imported",
        "cluster ready",
        "two workers ready",
        "data opened",
        "mean and spread by Dask",
        "EOF by Dask",
        "compared with a reference without Dask",
        "plotted",
        "result written as Zarr",
        "result read back and compared",
        "cluster closed",
    ),
}


def measure(state: Path) -> str:
    """Run the demo once to warm up and RUNS times for the table, which is returned as Markdown.

    Raises subprocess.CalledProcessError if a run fails.
    """
    found: dict[str, list[float]] = defaultdict(list)
    machine: dict[str, object] = {}
    for run in range(RUNS + 1):
        command = [sys.executable, "-m", "infra.local.cli", "demo", "--state", str(state)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        report = json.loads((state / "reports" / "demo.json").read_text())
        if run == 0:
            continue
        machine = report["machine"]
        seconds = {step["name"]: step["seconds"] for step in report["steps"]}
        for name, steps in MEASURES.items():
            found[name].append(sum(seconds[step] for step in steps))
        found["the whole demo, from nothing to nothing"].append(report["seconds"])
    lines = [
        f"| on {machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Python {machine['python']} | median s | fastest | slowest |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |"
        for name, values in found.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(measure(Path(sys.argv[sys.argv.index("--state") + 1]).absolute()))
