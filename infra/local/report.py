"""What happened, step by step: on the terminal while it goes on, as a table, and as JSON."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Step:
    """A finished step. `error` says why it failed; None when it succeeded."""

    name: str
    seconds: float
    error: str | None = None


@dataclass
class Report:
    """Records steps and shows each on the console as it goes on."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside as the step `name`; an exception makes it a failed one."""
        begin = time.monotonic()
        with self.console.status(name):
            try:
                yield
            except BaseException as error:
                self.add(name, time.monotonic() - begin, str(error) or type(error).__name__)
                raise
        self.add(name, time.monotonic() - begin)

    def add(self, name: str, seconds: float, error: str | None = None) -> None:
        """Record a step that somebody else timed."""
        self.steps.append(Step(name=name, seconds=round(seconds, 2), error=error))
        mark = "[red]✗[/red]" if error else "[green]✓[/green]"
        self.console.print(f"{mark} {name} [dim]{seconds:.1f} s[/dim]", highlight=False)

    def table(self, title: str) -> Table:
        """Return the steps as a table with the seconds of each and of all."""
        table = Table(title=title)
        table.add_column("step")
        table.add_column("seconds", justify="right")
        for step in self.steps:
            table.add_row(
                f"{step.name} [red]failed[/red]" if step.error else step.name, f"{step.seconds:.1f}"
            )
        table.add_section()
        table.add_row("altogether", f"{time.monotonic() - self.started:.1f}")
        return table

    def write(self, path: Path) -> None:
        """Write the steps, and what machine they ran on, as JSON."""
        described = {
            "steps": [asdict(step) for step in self.steps],
            "seconds": round(time.monotonic() - self.started, 2),
            "succeeded": not any(step.error for step in self.steps),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": machine(),
        }
        path.write_text(json.dumps(described, indent=2) + "\n")


def machine() -> dict[str, object]:
    """Describe this machine: its system, processor cores, memory (GiB) and Python."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }
