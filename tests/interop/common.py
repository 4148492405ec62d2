"""What the programs of this folder share: a Python that has what they need, and the Rust program that writes the logs."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def need(*modules, packages=()):
    """Goes on in a virtual environment that has these modules, unless this Python has them.

    The environment is made in target/interop and kept. `packages` are what pip calls them, where that differs.
    """
    # programs are named after what they test, and must not be found in its place
    sys.path[:] = [path for path in sys.path if pathlib.Path(path or ".").resolve() != HERE]
    if all(importlib.util.find_spec(module) for module in modules):
        return
    folder = ROOT / "target" / "interop" / "-".join(modules)
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix) == folder:
        sys.exit(f"{folder} lacks one of {modules}; remove it and try again")
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *(packages or modules)], check=True)
    os.execv(python, [str(python), *sys.argv])


def program():
    """The program that writes a made-up run, built."""
    if "CATENA_WRITE_LOGS" in os.environ:
        return os.environ["CATENA_WRITE_LOGS"]
    build = ["cargo", "build", "--quiet", "-p", "catena-callbacks", "--example", "write_logs"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return str(pathlib.Path(target) / "debug" / "examples" / "write_logs")


# the PyTorch whose libtorch catena is built for
PYTORCH = ["torch==2.13.0", "numpy", "safetensors"]


def rust_test(package, name):
    """Runs a test of the workspace, which hands what it writes to this Python. The exit status."""
    command = ["cargo", "test", "--quiet", "-p", package, "--test", name, "--", "--nocapture"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "CATENA_PYTHON": sys.executable}).returncode


def expect(what, got, wanted):
    """Ends the program with a message if two things differ."""
    if got != wanted:
        sys.exit(f"FAILED: {what}\n  got:    {got}\n  wanted: {wanted}")
    print(f"ok: {what}")
