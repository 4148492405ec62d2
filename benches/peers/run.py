#!/usr/bin/env python3
"""Measures one training step in catena and in its peers, and prints a Markdown table (README.md says what and how).

Progress goes to stderr. A contestant that can't be installed, built or run is listed with its reason.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

from networks import NETWORKS
from table import machine, table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CARGO = os.environ.get("CARGO", "cargo")
CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
TIMEOUT = 900  # seconds for one run
LINEAR, SMALL = ("tiny", "mlp", "deep"), ("tiny", "mlp")

# `argument` is what the program (step, loop, jax_loop or burn) knows the contestant by; `packages` are what a Python one needs;
# `networks` and `threads` are those that it has.
Contestant = namedtuple(
    "Contestant", "label program argument packages networks threads", defaults=[(), tuple(NETWORKS), (1, 2)]
)
CONTESTANTS = {
    "catena": Contestant("**catena**", "step", "catena"),
    "catena-hand": Contestant("loop over catena's parts", "step", "hand"),
    "tch": Contestant("loop over tch alone", "step", "tch", networks=LINEAR),
    "pytorch": Contestant("PyTorch, default Adam", "loop", "pytorch", ("torch",)),
    "pytorch-fused": Contestant("PyTorch, fused Adam", "loop", "pytorch-fused", ("torch",)),
    "pytorch-compiled": Contestant("PyTorch, compiled, fused Adam", "loop", "compiled-fused", ("torch",)),
    "ignite": Contestant("Ignite", "loop", "ignite-fused", ("torch", "pytorch-ignite"), SMALL),
    "accelerate": Contestant("Accelerate", "loop", "accelerate-fused", ("torch", "accelerate"), SMALL),
    "catalyst": Contestant("Catalyst", "loop", "catalyst-fused", ("torch", "catalyst"), SMALL),
    "lightning": Contestant("Lightning", "loop", "lightning-fused", ("torch", "lightning"), SMALL),
    "jax": Contestant("JAX, jit", "jax_loop", "jit", ("jax", "optax")),
    # within a loop XLA has no fast convolution on a CPU: a step of `conv` takes more than ten times as long as outside
    "jax-scan": Contestant(
        "JAX, jit of fifty steps (scan)", "jax_loop", "scan", ("jax", "optax"), (*LINEAR, "transformer")
    ),
    "burn": Contestant("burn (flex), explicit loop", "burn", "explicit", (), LINEAR, (1,)),
    "burn-train": Contestant("burn (flex), burn-train", "burn", "train", (), LINEAR, (1,)),
}


def environment(home, name, threads):
    """The same for all: so many threads, and freed memory is kept rather than returned to the system within the step
    (glibc's settings), which changes nothing for libtorch and saves burn more than half of its time on `mlp`."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    variables.update((f"{library}_NUM_THREADS", str(threads)) for library in ("OMP", "MKL", "OPENBLAS", "RAYON"))
    variables.update(MALLOC_TRIM_THRESHOLD_=str(1 << 30), MALLOC_MMAP_THRESHOLD_=str(1 << 25))
    # what Inductor compiles is kept, and compiled in the contestant's own process
    variables.update(TORCHINDUCTOR_CACHE_DIR=str(home / "inductor"), TORCHINDUCTOR_COMPILE_THREADS="1")
    variables.update(JAX_PLATFORMS="cpu")
    if name == "catalyst":
        variables["PYTHONPATH"] = str(home / "catalyst")
    return variables


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
        for package in sorted(packages, key=lambda package: (package != "torch", package)):
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
    programs = ("step", "loop", "jax_loop", "burn")
    of = {program: [n for n in chosen if chosen[n].program == program] for program in programs}

    def built(program, executable, shown, *arguments):
        try:
            file, known = cargo(executable, *arguments)
        except Failed as failed:
            failures.update((name, str(failed)) for name in of[program])
        else:
            commands.update((name, [file, chosen[name].argument]) for name in of[program])
            versions.update((name, known[name]) for name in shown if name in known)

    if in_python := of["loop"] + of["jax_loop"]:
        try:
            python = Python(home, {package for name in in_python for package in chosen[name].packages})
            show = "import platform; print(platform.python_version())"
            versions["Python"] = run([python.python, "-c", show]).strip()
        except Failed as failed:
            failures.update((name, str(failed)) for name in in_python)
            in_python = []
        for name in in_python:
            packages = chosen[name].packages
            if missing := [package for package in packages if package in python.errors]:
                failures[name] = python.errors[missing[0]]
                continue
            commands[name] = [python.python, HERE / f"{chosen[name].program}.py", chosen[name].argument]
            versions.update((used, python.versions[used]) for used in packages)
    if of["step"]:
        built("step", "step", ["catena", "tch"], "bench", "--bench", "step", "--no-run")
    if of["burn"]:
        manifest = ["--manifest-path", HERE / "burn" / "Cargo.toml", "--target-dir", home / "burn"]
        built("burn", "catena-peers-burn", ["burn"], "build", "--release", "--locked", *manifest)
    return commands, failures, versions


def measure(home, name, command, network, epochs, threads):
    """What a step costs, from a process of its own."""
    variables = environment(home, name, threads)
    output = run([*command, network, epochs, threads], env=variables, cwd=home, timeout=TIMEOUT)
    try:
        cost = json.loads(output.splitlines()[-1])
        return {key: cost[key] for key in ("us_per_step", "parameters", "peak_mib")}
    except (LookupError, TypeError, ValueError):
        raise Failed("its last line is no measurement") from None


def pinned(threads):
    """Keeps this process, and those that it starts, on as many CPUs as a contestant has threads."""
    if not hasattr(os, "sched_setaffinity"):
        return
    if len(CPUS) < threads:
        raise Failed(f"{threads} threads, but {len(CPUS)} CPUs to run on")
    os.sched_setaffinity(0, CPUS[-threads:])


def race(home, commands, failures, columns, rounds, epochs):
    """Every contestant once a round, in an order that rotates; returns what each cost, by contestant, network and threads."""
    costs, broken = {}, set()
    for turn, (network, threads) in itertools.product(range(rounds), columns):
        has = lambda name: network in CONTESTANTS[name].networks and threads in CONTESTANTS[name].threads
        order = [name for name in commands if has(name)]
        first = turn % max(1, len(order))
        for name in order[first:] + order[:first]:
            key = (name, network, threads)
            if key in broken:
                continue
            try:
                pinned(threads)
                cost = measure(home, name, commands[name], network, epochs, threads)
            except Failed as failed:
                broken.add(key)
                costs.pop(key, None)
                failures.setdefault(name, f"{network} with {threads} threads: {failed}")
                continue
            costs.setdefault(key, []).append(cost)
            say(f"round {turn + 1} of {rounds}: {network:11} {threads} {name:16} {cost['us_per_step']:9.1f} µs a step")
    return costs


def other_networks(costs):
    """Where contestants train different numbers of parameters, so that their times can't be compared."""
    for network in NETWORKS:
        trained = {name: runs[0]["parameters"] for (name, of, _), runs in costs.items() if of == network}
        if len(set(trained.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in trained.items())
            yield f"contestants have different networks: parameters of `{network}` are {told}"


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
    parser.add_argument("--networks", type=listed(NETWORKS), default=list(NETWORKS), metavar="NAME,…",
                        help="some of " + ", ".join(NETWORKS))  # fmt: skip
    parser.add_argument("--threads", type=listed(("1", "2")), default=["1", "2"], metavar="N,…",
                        help="1 or 2 (default both; small networks have one)")  # fmt: skip
    parser.add_argument("--only", type=listed(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME,…",
                        help="some of " + ", ".join(CONTESTANTS))  # fmt: skip
    options = parser.parse_args()
    pairs = itertools.product(map(int, options.threads), options.networks)
    columns = [(network, threads) for threads, network in pairs if threads in NETWORKS[network]["threads"]]
    if not columns:
        parser.error(f"none of {', '.join(options.networks)} is measured with {' or '.join(options.threads)} threads")
    home = folder()
    home.mkdir(parents=True, exist_ok=True)
    commands, failures, versions = prepare(home, options.only)
    begin = time.monotonic()
    costs = race(home, commands, failures, columns, options.rounds, options.epochs)
    say(f"measured in {time.monotonic() - begin:.0f} s")
    labels = {name: CONTESTANTS[name].label for name in options.only}
    print("\n".join(table(labels, columns, costs, failures)))
    used = [f"{name} {version}" for name, version in versions.items()]
    print(
        f"\nMedian and range of interleaved runs ({options.rounds} of each, {options.epochs} epochs a run);"
        f" a ratio above 1 is slower than catena. {', '.join([*machine(), *used])}."
    )
    differences = list(other_networks(costs))
    for difference in differences:
        say(f"error: {difference}")
    sys.exit(1 if differences or not costs else 0)


if __name__ == "__main__":
    main()
