"""What was measured, as a Markdown table."""

import os
import platform
import statistics
from datetime import date
from pathlib import Path


def table(labels, columns, costs, failures):
    """A row for each contestant of each network and number of threads; times are compared with catena's."""
    yield "| network, threads | | µs a step | range | to catena | peak MiB |"
    yield "|---|---|---:|---:|---:|---:|"
    for network, threads in columns:
        measured = {name: costs[key] for name in labels if (key := (name, network, threads)) in costs}
        if not measured:
            continue
        trained = next(iter(measured.values()))[0]["parameters"]
        head = f"`{network}`, {threads} ({trained:,} parameters)"
        own = measured.get("catena")
        base = statistics.median(cost["us_per_step"] for cost in own) if own else None
        for name, runs in measured.items():
            times = [cost["us_per_step"] for cost in runs]
            median, peaks = statistics.median(times), [cost["peak_mib"] for cost in runs if cost["peak_mib"]]
            ratio = f"{median / base:.2f}" if base else "–"
            peak = f"{statistics.median(peaks):.0f}" if peaks else "–"
            span = f"{shown(min(times))}–{shown(max(times))}"
            yield f"| {head} | {labels[name]} | {shown(median)} | {span} | {ratio} | {peak} |"
            head = ""
    for reason in dict.fromkeys(failures.values()):
        failed = "; ".join(label for name, label in labels.items() if failures.get(name) == reason)
        yield f"\nNot measured: {failed}: {reason}"


def shown(microseconds):
    return f"{microseconds:,.1f}" if microseconds < 1000 else f"{microseconds:,.0f}"


def machine():
    """Whose numbers they are."""
    return [processor(), f"{os.cpu_count()} cores", date.today().isoformat()]


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
