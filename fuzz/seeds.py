"""Makes the first files of the corpus from a run directory: python3 fuzz/seeds.py RUN

Run in the repository's root. `cargo xtask fuzz` goes on from them.
"""

import struct
import sys
from pathlib import Path

run, corpus = Path(sys.argv[1]), Path("fuzz/corpus")


def put(target, name, data):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def lines(path, n=6):
    path = run / path
    return b"".join(path.read_bytes().splitlines(True)[:n]) if path.exists() else b""


def part(name, data):
    return b"--- " + name.encode() + b"\n" + data


snapshots = [path for path in sorted((run / "checkpoints").iterdir()) if (path / "manifest.json").exists()]
for i, snapshot in enumerate(snapshots[:2]):
    manifest = (snapshot / "manifest.json").read_bytes()
    state = (snapshot / "state.json").read_bytes()
    tensors = (snapshot / "model.safetensors").read_bytes()
    put("manifest", f"run{i}", manifest)
    put("state", f"run{i}", state)
    put("tensors", f"run{i}", tensors)
    small = b'{"n": 1}'
    put("snapshot", f"run{i}", struct.pack("<H", len(small)) + small + tensors)

journal = lines("journal.jsonl")
put("journals", "same", part("a", journal) + part("b", journal))
rows = journal.splitlines(True)
put("journals", "gap", part("a", journal) + part("b", b"".join(rows[:2] + rows[3:])))
put("journals", "other", part("a", journal) + part("b", journal.replace(b"3", b"4")))

directory = b"".join(
    part(name, data)
    for name, data in [
        ("run.json", (run / "run.json").read_bytes()),
        ("journal.jsonl", journal),
        ("metrics.jsonl", lines("metrics.jsonl")),
        ("timing.jsonl", lines("timing.jsonl", 12)),
        ("train.csv", lines("metrics/train.csv")),
        ("valid.batches.csv", lines("metrics/train.batches.csv")),
        ("manifest.json", (snapshots[0] / "manifest.json").read_bytes()),
        ("state.json", (snapshots[0] / "state.json").read_bytes()),
    ]
)
for target in ["report", "watch"]:
    put(target, "run", directory)
    put(target, "without_json", directory.split(b"--- journal.jsonl")[1].join([b"--- journal.jsonl", b""]))
    put(target, "script", directory.replace(b"loss", b"<script>alert(1)</script>\\u001b[2J"))

for i, text in enumerate(
    [
        b"3 steps",
        b"1 epoch",
        b"30 s",
        b"1.5 %",
        b"never",
        b"000000000123-b",
        b'{"name": "adamw", "lr": 0.001, "groups": [{"pattern": "*.bias", "weight_decay": 0.0}]}',
        b'{"name": "one_cycle", "max_lr": 0.1, "total_steps": 10}',
        b'{"run": {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r", "lifecycle_stage": "deleted"}}}',
        b'{"server": "http://x", "experiment": "e", "run_id": "r", "directory": "/tmp", "inode": 1}',
        b'[0,{"metric":{"key":"m","value":0.5,"timestamp":1,"step":2}}]\n[1,{"bytes":{"name":"a","bytes":"aGk="}}]\n',
    ]
):
    put("names", f"text{i}", struct.pack("<H", 200) + text)
