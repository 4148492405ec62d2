"""A real MLflow server shows a run with parameters, metrics and artifacts, also when it was stopped and started in the middle.

    python tests/interop/mlflow.py

Makes a virtual environment with PyPI's `mlflow`, unless this Python has it. The server keeps what it is told in SQLite and in a
temporary folder, and listens on the loopback interface only.
"""

import contextlib
import math
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import common

common.need("mlflow")

import mlflow  # noqa: E402

STEPS, SNAPSHOT, KILLED = 20, 12, 18
EPOCH_ENDS = [5, 10, 15, 20]


class Server:
    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.folder = pathlib.Path(folder)
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", f"{self.folder}/artifacts", "--serve-artifacts"]
        with open(self.folder / "server.log", "a") as log:
            # a group of its own, so that its workers end with it
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5)
                return
            time.sleep(0.2)
        sys.exit("the server does not start:\n" + (self.folder / "server.log").read_text())

    def stop(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def last_by_step(client, run_id, key):
    """A step may be repeated after a resume: the last value counts."""
    return {metric.step: metric.value for metric in client.get_metric_history(run_id, key)}


def check(client, run_id, folder, what, status="FINISHED"):
    run = client.get_run(run_id)
    common.expect(f"{what}: name and status", (run.info.run_name, run.info.status), ("made up", status))
    wanted = {"lr": "0.125", "optimizer.name": "sgd", "optimizer.nesterov": "true", "layers": "[64,10]"}
    common.expect(f"{what}: parameters", run.data.params, wanted)
    steps = range(1, STEPS + 1)
    losses = last_by_step(client, run_id, "train.batches/loss")
    common.expect(f"{what}: each batch", losses, {step: 1 / step for step in steps})
    accuracy = last_by_step(client, run_id, "train.batches/accuracy_1_ad227be7")
    common.expect(f"{what}: a name with @", accuracy, {step: step / 1000 for step in steps})
    for loader in ["train", "valid"]:
        losses = last_by_step(client, run_id, f"{loader}/loss")
        common.expect(f"{what}: {loader}/loss", losses, {step: 1 / step for step in EPOCH_ENDS})
        recall = last_by_step(client, run_id, f"{loader}/recall/1")
        common.expect(f"{what}: {loader}, a list", recall, {step: step / 1000 for step in EPOCH_ENDS})
    strange = last_by_step(client, run_id, "train/strange")
    # MLflow's SQL store keeps an infinity as the largest number
    strange = {step: "nan" if math.isnan(x) else "inf" if x > 1e308 else x for step, x in strange.items()}
    common.expect(f"{what}: what is not finite", strange, {step: "inf" if step % 2 else "nan" for step in EPOCH_ENDS})

    artifacts = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=folder, tracking_uri=client.tracking_uri))
    found = sorted(str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file())
    wanted = ["notes/of the run.txt"]
    for loader in ["train", "valid"]:
        wanted += [f"images/{loader}/{name}/{step}.png" for name in ["confusion", "matrix"] for step in EPOCH_ENDS]
        wanted += [f"texts/{loader}/remark/{step}.md" for step in EPOCH_ENDS]
    common.expect(f"{what}: artifacts", found, sorted(wanted))
    common.expect(f"{what}: a file", (artifacts / "notes/of the run.txt").read_text(), "some notes\n")
    common.expect(f"{what}: a text", (artifacts / "texts/train/remark/10.md").read_text(), "**step** 10")
    common.expect(f"{what}: an image", (artifacts / "images/train/confusion/5.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")


def main():
    write = common.program()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        client = mlflow.MlflowClient(server.address)

        def folders(name):
            (pathlib.Path(folder) / name).mkdir()
            (pathlib.Path(folder) / f"{name} artifacts").mkdir()
            return f"{folder}/{name}", f"{folder}/{name} artifacts"

        def runs():
            experiment = client.get_experiment_by_name("interop")
            found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
            return [run.info.run_id for run in found]

        try:
            server.start()
            run, artifacts = folders("whole")
            subprocess.run([write, run, str(STEPS), "--mlflow", server.address], check=True)
            whole = runs()
            common.expect("one run", len(whole), 1)
            check(client, whole[0], artifacts, "whole run")

            run, artifacts = folders("stopped server")
            training = subprocess.Popen([write, run, str(STEPS), "--mlflow", server.address, "--pause", "300"])
            time.sleep(1.5)
            server.stop()
            time.sleep(2)
            common.expect("the training goes on without the server", training.poll(), None)
            server.start()
            common.expect("the training's exit status", training.wait(), 0)
            stopped = runs()
            common.expect("one run more", len(stopped), 2)
            check(client, stopped[0], artifacts, "server stopped and started")

            run, artifacts = folders("killed")
            killed = [write, run, str(KILLED), "--mlflow", server.address, "--snapshot", str(SNAPSHOT), "--pause", "100"]
            common.expect("the killed run's exit status", subprocess.run(killed, check=False).returncode, 9)
            subprocess.run([write, run, str(STEPS), "--mlflow", server.address, "--resume"], check=True)
            resumed = runs()
            common.expect("one run more", len(resumed), 3)
            check(client, resumed[0], artifacts, "resumed run")

            server.stop()
            run, artifacts = folders("late server")
            training = subprocess.Popen([write, run, str(STEPS), "--mlflow", server.address])
            time.sleep(2)
            server.start()
            common.expect("the training's exit status", training.wait(), 0)
            check(client, runs()[0], artifacts, "server started late")
        finally:
            server.stop()
    print("all is well")


main()
