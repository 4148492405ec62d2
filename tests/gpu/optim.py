"""Holds catena's optimizers on a GPU against PyTorch's on the same GPU: 40 steps, several shapes, missing gradients.

Where PyTorch has a fused kernel, catena calls the same one, so in f32 every bit must be equal (`fused=True`); elsewhere f32 may
differ by 1e-5 of the tensor's largest value, and f64 by 1e-12. Needs a GPU and a PyTorch that can use it. Arguments choose optimizers: `optim.py adam asgd`.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

from common import ROOT, need  # noqa: E402

need("torch")

import torch  # noqa: E402

SHAPES = {"bias": [37], "conv": [8, 3, 3, 3], "scale": [], "weight": [64, 33]}
CASES = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"lr": 0.01}),
    ("Adamax", {"lr": 0.01}),
    ("Adadelta", {"lr": 0.5}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}),
    ("Rprop", {"lr": 0.01}),
    ("ASGD", {"lr": 0.1, "t0": 3.0}),
    ("Adafactor", {"lr": 0.05}),
    ("Muon", {"lr": 0.02}),
]
FUSED = {"SGD", "Adam", "AdamW", "Adagrad"}
DTYPES = {"f32": torch.float32, "f64": torch.float64}


def parity():
    """The program, built."""
    if "CATENA_PARITY" in os.environ:
        return os.environ["CATENA_PARITY"]
    subprocess.run(["cargo", "build", "--quiet", "--example", "parity"], cwd=ROOT, check=True)
    return str(pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "examples" / "parity")


def tensors(seed, dtype):
    torch.manual_seed(seed)
    return {name: torch.randn(shape, dtype=torch.float32).to(dtype) for name, shape in SHAPES.items()}


def torchs(name, settings, params, grads):
    """The parameters after all steps, by PyTorch."""
    kind = getattr(torch.optim, name)
    own = {key: torch.nn.Parameter(value.cuda()) for key, value in params.items()}
    fused = {"fused": True} if name in FUSED and (name != "Adagrad" or adagrad_is_fused()) else {}
    # PyTorch's ASGD of many tensors rounds its rates otherwise than that of one, by 2e-8 in f64
    single = {"foreach": False} if name == "ASGD" else {}
    optimizer = kind(own.values(), **settings, **fused, **single)
    for step in grads:
        for key, grad in step.items():
            own[key].grad = None if grad is None else grad.cuda()
        optimizer.step()
    return {key: value.detach().cpu() for key, value in own.items()}, bool(fused)


def adagrad_is_fused():
    """PyTorch has this kernel on the CPU; on a GPU in later versions only."""
    p = torch.nn.Parameter(torch.zeros(1, device="cuda"))
    p.grad = torch.ones_like(p)
    try:
        torch.optim.Adagrad([p], fused=True).step()
    except (RuntimeError, NotImplementedError):
        return False
    return True


def catenas(name, settings, dtype, params, grads):
    spec = {
        "device": "cuda",
        "dtype": dtype,
        "optimizer": {"name": name.lower(), **settings},
        "params": {key: value.tolist() for key, value in params.items()},
        "grads": [{key: None if grad is None else grad.tolist() for key, grad in step.items()} for step in grads],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(spec, file)
        file.flush()
        done = subprocess.run([parity(), file.name], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED: {name} {settings}: {done.stderr}")
    after = json.loads(done.stdout)["steps"][-1]["params"]
    return {key: torch.tensor(value, dtype=DTYPES[dtype]) for key, value in after.items()}


def main():
    if not torch.cuda.is_available():
        sys.exit("no GPU that PyTorch can use is here: nothing was compared")
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}")
    failed = False
    chosen = [name.lower() for name in sys.argv[1:]]
    for name, settings in CASES:
        if chosen and name.lower() not in chosen:
            continue
        for dtype in DTYPES:
            params = tensors(0, DTYPES[dtype])
            # fused SGD fails in PyTorch if a parameter's first gradient comes late
            missing = name != "SGD"
            grads = [
                {key: None if missing and key == "scale" and step % 3 == 0 else grad for key, grad in tensors(step + 1, DTYPES[dtype]).items()}
                for step in range(40)
            ]
            if name == "Muon":
                params = {"weight": params["weight"]}
                grads = [{"weight": step["weight"]} for step in grads]
            expected, fused = torchs(name, settings, params, grads)
            got = catenas(name, settings, dtype, params, grads)
            worst = 0.0
            for key, value in expected.items():
                difference = (got[key] - value).abs().max().item() / max(value.abs().max().item(), 1e-300)
                worst = max(worst, difference) if math.isfinite(difference) else math.inf
            # Muon's matrix products are in bf16
            bound = 0.0 if fused else 4e-3 if name == "Muon" else 1e-12 if dtype == "f64" else 1e-5
            verdict = "ok" if worst <= bound else "FAILED"
            failed |= worst > bound
            print(f"{verdict}: {name} {settings} {dtype}{' fused' if fused else ''}: {worst:.1e} (allowed {bound:g})", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
