"""catena's optimizer files in PyTorch: `save` and `load` are all that a program needs; the rest tries them.

  optim.py             gives them to catena's tests, which read what PyTorch wrote and let it read what they write
  optim.py make DIR    trains each case for 5 steps, saves its optimizer as DIR/<case>.safetensors, trains on for 5;
                       DIR/cases.json has what catena needs to do the same (crates/catena-tensor/tests/torch_state.rs does)
  optim.py check DIR   goes on from files that catena saved after 5 steps, and compares with DIR/cases.json

Makes a virtual environment with PyPI's `torch`, `numpy` and `safetensors`, unless this Python has them.
"""

import json
import sys
from pathlib import Path

import common

common.need("torch", "safetensors", "numpy", packages=common.PYTORCH)

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


def save(optimizer, named_parameters, path):
    """Writes `optimizer` as catena's `Optimizer::load` reads it."""
    names = {p: name for name, p in named_parameters}
    tensors = {
        f"{names[p]}.{slot}": value.contiguous().clone()
        for p, state in optimizer.state.items()
        for slot, value in state.items()
        if value is not None
    }
    groups = [{**group, "params": [names[p] for p in group["params"]]} for group in optimizer.param_groups]
    head = {"name": type(optimizer).__name__.lower(), "param_groups": groups}
    save_file(tensors, path, metadata={"optimizer": json.dumps(head)})


def load(optimizer, named_parameters, path):
    """Takes what catena's `Optimizer::save` wrote. Groups with the same parameters belong together."""
    params = dict(named_parameters)
    with safe_open(path, "pt") as file:
        head = json.loads(file.metadata()["optimizer"])
        optimizer.state.clear()
        for key in file.keys():
            name, slot = key.rsplit(".", 1)
            optimizer.state[params[name]][slot] = file.get_tensor(key)
    for saved in head["param_groups"]:
        own = next(g for g in optimizer.param_groups if {*map(id, g["params"])} == {id(params[n]) for n in saved["params"]})
        for name, value in saved.items():
            if name in own.keys() - {"params"} or name == "initial_lr":
                own[name] = tuple(value) if isinstance(value, list) else value


SHAPES = {"body.bias": [3], "body.weight": [3, 4], "head.scale": [], "head.weight": [2, 3]}
CASES = {
    "sgd": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    "sgd_plain": ("SGD", {"lr": 0.1}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    "adamw": ("AdamW", {"lr": 0.01, "betas": (0.8, 0.99)}),
    "radam": ("RAdam", {"lr": 0.01}),
    "nadam": ("NAdam", {"lr": 0.01}),
    "adamax": ("Adamax", {"lr": 0.01}),
    "adagrad": ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "initial_accumulator_value": 0.1}),
    "adadelta": ("Adadelta", {"lr": 0.5}),
    "rmsprop": ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}),
    "rprop": ("Rprop", {"lr": 0.01}),
    "asgd": ("ASGD", {"lr": 0.1, "t0": 3.0}),
    "adafactor": ("Adafactor", {"lr": 0.05}),
    "muon": ("Muon", {"lr": 0.02}),
}
DTYPES = {"f32": torch.float32, "f64": torch.float64}


def numbers(tensors):
    return {name: t.detach().double().flatten().tolist() for name, t in tensors.items()}


def gradient(name, step):
    if name == "head.scale" and step < 7:
        return None  # has no state when the file is written
    n = torch.Size(SHAPES[name]).numel()
    return torch.cos(torch.arange(n).double() * 1.3 + step * 0.7 + len(name)).float().double().view(SHAPES[name])


def params(dtype, case, values=None):
    # Muon takes matrices only, and torch's fused SGD fails if a parameter's first gradient comes late
    names = {"muon": ["body.weight", "head.weight"], "sgd": ["body.bias", "body.weight", "head.weight"]}.get(case, SHAPES)
    made = {}
    for name in names:
        n = torch.Size(SHAPES[name]).numel()
        value = values[name] if values else torch.sin(torch.arange(n) + len(name)).tolist()
        made[name] = torch.nn.Parameter(torch.tensor(value, dtype=dtype).view(SHAPES[name]))
    return made


def make(kind, settings, own, dtype):
    fused = {"fused": True} if kind in ("SGD", "Adam", "AdamW") and dtype == torch.float32 else {}
    head = [p for name, p in own.items() if name.startswith("head.")]
    body = [p for name, p in own.items() if not name.startswith("head.")]
    groups = [{"params": head, "lr": settings["lr"] / 2}, {"params": body}]
    return getattr(torch.optim, kind)(groups, **settings, **fused)


def steps(optimizer, own, first):
    for step in range(first, first + 5):
        for name, p in own.items():
            grad = gradient(name, step)
            p.grad = None if grad is None else grad.to(p.dtype)
        optimizer.step()
        for group in optimizer.param_groups:  # a schedule: settings in the file are not those of the start
            group["lr"] *= 0.9


def make_all(folder):
    folder.mkdir(parents=True, exist_ok=True)
    grads = [{n: None if (g := gradient(n, step)) is None else g.flatten().tolist() for n in SHAPES} for step in range(1, 11)]
    cases = {}
    for case, (kind, settings) in CASES.items():
        for name, dtype in DTYPES.items():
            own = params(dtype, case)
            initial = numbers(own)
            optimizer = make(kind, settings, own, dtype)
            steps(optimizer, own, 1)
            half = numbers(own)
            save(optimizer, own.items(), folder / f"{case}_{name}.safetensors")
            steps(optimizer, own, 6)
            cases[f"{case}_{name}"] = {"settings": {"name": kind.lower(), **settings}, "initial": initial, "half": half, "end": numbers(own)}
    (folder / "cases.json").write_text(json.dumps({"torch": torch.__version__, "shapes": SHAPES, "grads": grads, "cases": cases}))


def check_all(folder):
    wrong = 0
    for name, case in json.loads((folder / "cases.json").read_text())["cases"].items():
        kind, settings = CASES[name.rsplit("_", 1)[0]]
        dtype = DTYPES[name.rsplit("_", 1)[1]]
        own = params(dtype, name.rsplit("_", 1)[0], case["half"])
        optimizer = make(kind, settings, own, dtype)
        for group in optimizer.param_groups:
            group["lr"] = 1e9  # has to come from the file
        load(optimizer, own.items(), folder / f"{name}.safetensors")
        steps(optimizer, own, 6)
        for key, got in numbers(own).items():
            expected = torch.tensor(case["end"][key]).double()
            worst = (torch.tensor(got).double() - expected).abs().max() / expected.abs().max()
            fused = kind in ("SGD", "Adam", "AdamW")
            bound = 1e-12 if dtype == torch.float64 else 0 if fused else 1e-5
            if not worst <= bound:
                wrong += 1
                print(f"{name}: {key} differs by {worst:.1e}")
    print(f"{wrong} wrong")
    return wrong != 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(common.rust_test("catena-tensor", "torch_state"))
    torch.set_printoptions(precision=17)
    action = {"make": make_all, "check": check_all}[sys.argv[1]]
    sys.exit(action(Path(sys.argv[2])))
