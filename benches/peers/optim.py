"""PyTorch's side of `benches/optim`: takes turns over a pipe, so that its rounds alternate with those of the Rust program.

A line of JSON on stdin, one on stdout:
  {"make": {"name": .., settings}, "shape": [..], "count": n, "threads": n, "device": ".."}   {"kind": "fused" | "default"} or {"missing": true}
  {"steps": n}                                                              {"us": microseconds a step}
"""

import inspect
import json
import sys
import time

import torch

CLASSES = {name.lower(): getattr(torch.optim, name) for name in dir(torch.optim) if inspect.isclass(getattr(torch.optim, name))}


def make(settings, shape, count, threads, device):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    kind = CLASSES.get(settings.pop("name"))
    if kind is None:
        return None, {"missing": True}
    params = [torch.nn.Parameter(torch.randn(shape, device=device)) for _ in range(count)]
    for p in params:
        p.grad = torch.randn(shape, device=device)
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    if "fused" in inspect.signature(kind).parameters:
        try:
            optimizer = kind(params, **settings, fused=True)
            optimizer.step()
            return optimizer, {"kind": "fused"}
        except (RuntimeError, NotImplementedError):
            pass
    optimizer = kind(params, **settings)
    optimizer.step()
    return optimizer, {"kind": "default"}


def main():
    optimizer = None
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        if "make" in ask:
            optimizer = None  # its memory goes first
            optimizer, answer = make(ask["make"], ask["shape"], ask["count"], ask["threads"], ask["device"])
            wait = torch.cuda.synchronize if "cuda" in ask["device"] else lambda: None
        else:
            optimizer.step()  # wakes the threads
            wait()
            begin = time.perf_counter()
            for _ in range(ask["steps"]):
                optimizer.step()
            wait()
            answer = {"us": (time.perf_counter() - begin) * 1e6 / ask["steps"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
