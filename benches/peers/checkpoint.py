"""PyTorch's side of `benches/checkpoint`: takes turns over a pipe, so that its rounds alternate with those of the Rust program.

A line of JSON on stdin, one on stdout:
  {"make": {"shape": [..], "count": n}}   {"torch": version}        a model and its Adam, stepped once
  {"save": path}                          {"seconds": s, "bytes": n}   torch.save, SHA-256 of the file, fsync
  {"load": path}                          {"seconds": s, "taken": s}   torch.load and SHA-256; and both modules' load_state_dict after it
"""

import hashlib
import json
import os
import sys
import time

import torch


def make(shape, count):
    torch.manual_seed(0)
    model = torch.nn.ParameterList(torch.randn(shape) for _ in range(count))
    for p in model:
        p.grad = torch.randn(shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    optimizer.step()
    return model, optimizer


def sha256(file):
    digest, buffer = hashlib.sha256(), bytearray(256 << 10)
    view = memoryview(buffer)
    while n := file.readinto(buffer):
        digest.update(view[:n])
    return digest.hexdigest()


def save(model, optimizer, path):
    begin = time.perf_counter()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    with open(path, "rb", buffering=0) as file:
        sha256(file)
        os.fsync(file.fileno())
    return {"seconds": time.perf_counter() - begin, "bytes": os.path.getsize(path)}


def load(model, optimizer, path):
    begin = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        sha256(file)
    state = torch.load(path, weights_only=True)
    loaded = time.perf_counter()
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return {"seconds": loaded - begin, "taken": time.perf_counter() - begin}


def main():
    for line in sys.stdin:
        match json.loads(line):
            case {"make": settings}:
                model, optimizer = make(**settings)
                answer = {"torch": torch.__version__}
            case {"save": path}:
                answer = save(model, optimizer, path)
            case {"load": path}:
                answer = load(model, optimizer, path)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
