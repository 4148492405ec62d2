#!/usr/bin/env python3
"""Measures one training step in catena and in its peers, and prints a Markdown table (README.md says what and how).

Progress goes to stderr. A contestant that can't be installed, built or run is listed with its reason.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import namedtuple
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CARGO = os.environ.get("CARGO", "cargo")
MODELS = ("tiny", "mlp")
THREADS = "1"
TIMEOUT = 600  # seconds for one run

# `argument` is what the program (step, loop or burn) knows the contestant by; `package` is what a Python one needs.
Contestant = namedtuple("Contestant", "label program argument package", defaults=[None])
CONTESTANTS = {
    "catena": Contestant("**catena**", "step", "catena"),
    "catena-hand": Contestant("loop over catena's fused Adam", "step", "hand"),
    "tch": Contestant("loop over tch's Adam", "step", "tch"),
    "pytorch": Contestant("PyTorch, default Adam", "loop", "pytorch", "torch"),
    "pytorch-fused": Contestant("PyTorch, fused Adam", "loop", "pytorch-fused", "torch"),
    "ignite": Contestant("Ignite", "loop", "ignite-fused", "pytorch-ignite"),
    "accelerate": Contestant("Accelerate", "loop", "accelerate-fused", "accelerate"),
    "catalyst": Contestant("Catalyst", "loop", "catalyst-fused", "catalyst"),
    "lightning": Contestant("Lightning", "loop", "lightning-fused", "lightning"),
    "burn": Contestant("burn (flex), explicit loop", "burn", "explicit"),
    "burn-train": Contestant("burn (flex), burn-train", "burn", "train"),
}

# The same for all: one thread, and freed memory is kept rather than returned to the system within the step
# (glibc's settings), which changes nothing for libtorch and saves burn more than half of its time on `mlp`.
ENVIRONMENT = {
    **{f"{library}_NUM_THREADS": THREADS for library in ("OMP", "MKL", "OPENBLAS", "RAYON")},
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
}


class Failed(Exception):
    """Why something can't be measured, in a line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **options):
    """Runs a program and returns what it wrote to stdout; stderr is shown only if it fails."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from None
    if done.returncode != 0:
        say(done.stderr.rstrip())
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        first = next((line for line in lines if line.lower().startswith("error")), lines[-1])
        raise Failed(first.strip()[:200])
    return done.stdout


def folder():
    """Where the peers are kept: outside the repository."""
    if chosen := os.environ.get("CATENA_PEERS_DIR"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "catena-peers"


def pins(file):
    lines = (HERE / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


class Python:
    """The environment of the Python peers, and a folder beside it for Catalyst."""

    def __init__(self, home, packages):
        self.python, self.errors = home / "bin" / "python", {}
        self.versions = {**pins("requirements.txt"), "catalyst": pins("requirements-catalyst.txt")["catalyst"]}
        if not (home / "bin" / "pip").exists():
            say(f"creating a Python environment in {home}")
            run([sys.executable, "-m", "venv", home])
        self.install("requirements.txt", ["torch"])
        for package in sorted(packages - {"torch"}):
            try:
                if package == "catalyst":
                    extra, names = home / "catalyst", pins("requirements-catalyst.txt")
                    self.install("requirements.txt", ["accelerate"])  # brings what both Accelerates import
                    options = ["--no-deps", "--upgrade", "--target", extra]
                    self.install("requirements-catalyst.txt", names, options, ["--path", extra])
                else:
                    self.install("requirements.txt", [package])
            except Failed as failed:
                self.errors[package] = str(failed)

    def pip(self, *arguments):
        return run([self.python, "-m", "pip", "--disable-pip-version-check", *arguments])

    def install(self, file, names, options=(), path=()):
        """Installs those packages of a file that aren't there in the version it pins."""
        there = json.loads(self.pip("list", "--format=json", *path))
        there = {package["name"].lower().replace("_", "-"): package["version"].split("+")[0] for package in there}
        for name in names:
            version = pins(file)[name]
            if there.get(name.lower()) == version:
                continue
            say(f"installing {name} {version}")
            try:
                self.pip("install", "--constraint", HERE / file, *options, f"{name}=={version}")
            except Failed as failed:
                raise Failed(f"{name} {version} can't be installed: {failed}") from None


def cargo(program, *arguments):
    """Builds a program and returns its file, and the versions of the packages in it."""
    say(f"building {program}")
    try:
        command = [CARGO, *arguments, "--message-format=json-render-diagnostics"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    except OSError as error:
        raise Failed(str(error)) from None
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    artifacts = [message for message in messages if message["reason"] == "compiler-artifact"]
    files = [a["executable"] for a in artifacts if a["target"]["name"] == program and a["executable"]]
    if done.returncode != 0 or not files:
        raise Failed(f"`cargo {' '.join(map(str, arguments[:4]))}` gives no program {program}")
    ends = ((a["target"]["name"], a["package_id"].rsplit("#")[-1].rsplit("@")[-1]) for a in artifacts)
    return files[0], dict(ends)


def prepare(home, names):
    """Returns a command for each contestant that there is, reasons for the others, and versions to print."""
    commands, failures, versions = {}, {}, {}
    chosen = {name: CONTESTANTS[name] for name in names}
    of = {program: [n for n in chosen if chosen[n].program == program] for program in ("step", "loop", "burn")}

    def built(program, executable, shown, *arguments):
        try:
            file, known = cargo(executable, *arguments)
        except Failed as failed:
            failures.update((name, str(failed)) for name in of[program])
        else:
            commands.update((name, [file, chosen[name].argument]) for name in of[program])
            versions.update((name, known[name]) for name in shown if name in known)

    if of["loop"]:
        try:
            python = Python(home, {chosen[name].package for name in of["loop"]})
        except Failed as failed:
            failures.update((name, str(failed)) for name in of["loop"])
        else:
            show = "import platform; print(platform.python_version())"
            versions["Python"] = run([python.python, "-c", show]).strip()
            for name in of["loop"]:
                package = chosen[name].package
                if package in python.errors:
                    failures[name] = python.errors[package]
                    continue
                commands[name] = [python.python, HERE / "loop.py", chosen[name].argument]
                versions.update((used, python.versions[used]) for used in ("torch", package))
    if of["step"]:
        built("step", "step", ["catena", "tch"], "bench", "--bench", "step", "--no-run")
    if of["burn"]:
        manifest = ["--manifest-path", HERE / "burn" / "Cargo.toml", "--target-dir", home / "burn"]
        built("burn", "catena-peers-burn", ["burn"], "build", "--release", "--locked", *manifest)
    return commands, failures, versions


def measure(home, name, command, model, epochs):
    """Microseconds a step, from a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment.update(ENVIRONMENT)
    if name == "catalyst":
        environment["PYTHONPATH"] = str(home / "catalyst")
    output = run([*command, model, epochs, THREADS], env=environment, cwd=home, timeout=TIMEOUT)
    try:
        return float(json.loads(output.splitlines()[-1])["us_per_step"])
    except (LookupError, TypeError, ValueError):
        raise Failed("its last line is no measurement") from None


def race(home, commands, failures, models, rounds, epochs):
    """Every contestant once a round, in an order that rotates; returns the times by contestant and model."""
    times = {}
    for turn in range(rounds):
        for model in models:
            order = [name for name in commands if name not in failures]
            first = turn % max(1, len(order))
            for name in order[first:] + order[:first]:
                try:
                    us_per_step = measure(home, name, commands[name], model, epochs)
                except Failed as failed:
                    failures[name] = f"{model}: {failed}"
                    continue
                times.setdefault((name, model), []).append(us_per_step)
                say(f"round {turn + 1} of {rounds}: {model:5} {name:14} {us_per_step:9.1f} µs a step")
    return times


def table(names, models, times, failures):
    heads = [head for model in models for head in (f"`{model}`: µs a step", "to catena")]
    yield "| " + " | ".join(["", *heads]) + " |"
    yield "|---" + "|---:" * len(heads) + "|"
    for name in names:
        cells = [CONTESTANTS[name].label]
        for model in models:
            own, base = times.get((name, model)), times.get(("catena", model))
            if name in failures or not own:
                cells += ["failed", "–"]
                continue
            median = statistics.median(own)
            cells.append(f"{median:.1f} ({min(own):.1f}–{max(own):.1f})")
            cells.append(f"{median / statistics.median(base):.2f}" if base and "catena" not in failures else "–")
        yield "| " + " | ".join(cells) + " |"
    for reason in dict.fromkeys(failures.values()):
        labels = "; ".join(CONTESTANTS[name].label for name in names if failures.get(name) == reason)
        yield f"\nNot measured: {labels}: {reason}"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def listed(known):
    """An argument that names some of what is known."""

    def parse(text):
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return [name for name in known if name in names]

    return parse


def positive(text):
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def main():
    parser = argparse.ArgumentParser(description="Measures one training step in catena and in its peers.")
    parser.add_argument("--rounds", type=positive, default=5, help="how often each contestant runs (default 5)")
    parser.add_argument("--epochs", type=positive, default=3, help="epochs measured in each run (default 3)")
    parser.add_argument("--models", type=listed(MODELS), default=MODELS, help="some of " + ", ".join(MODELS))
    parser.add_argument("--only", type=listed(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME,…",
                        help="some of " + ", ".join(CONTESTANTS))  # fmt: skip
    options = parser.parse_args()
    home = folder()
    home.mkdir(parents=True, exist_ok=True)
    commands, failures, versions = prepare(home, options.only)
    begin = time.monotonic()
    times = race(home, commands, failures, options.models, options.rounds, options.epochs)
    say(f"measured in {time.monotonic() - begin:.0f} s")
    print("\n".join(table(options.only, options.models, times, failures)))
    machine = [processor(), f"{os.cpu_count()} cores", f"{THREADS} thread a contestant", date.today().isoformat()]
    used = [f"{name} {version}" for name, version in versions.items()]
    print(
        f"\nMedian and range of interleaved runs ({options.rounds} of each, {options.epochs} epochs a run);"
        f" a ratio above 1 is slower than catena. {', '.join(machine + used)}."
    )
    sys.exit(0 if times else 1)


if __name__ == "__main__":
    main()
