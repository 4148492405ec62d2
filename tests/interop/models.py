"""Weights between catena and PyTorch: layers of each kind, as safetensors, with `load_state_dict(strict=True)`.

  models.py             gives them to catena's tests, which read what PyTorch wrote and let it read what they write
  models.py make DIR    trains each case in PyTorch; DIR/<case>.safetensors is its state dict, DIR/data.safetensors has its inputs
                        and outputs (tests/torch_models.rs does the same with the weights)
  models.py check DIR   the other way: for weights that catena trained, in files of the same names

Makes a virtual environment with PyPI's `torch`, `numpy` and `safetensors`, unless this Python has them.
"""

import sys
from pathlib import Path

import common

common.need("torch", "safetensors", "numpy", packages=common.PYTORCH)

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402


class Linear(nn.Module):
    INPUT = 4, 6

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 5)
        self.fc2 = nn.Linear(5, 3, bias=False)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())


class Conv(nn.Module):
    INPUT = 4, 2, 7, 7

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.line = nn.Conv1d(3, 3, 3)

    def forward(self, x):
        x = self.up(self.grouped(self.conv(x).relu()).relu())
        return self.line(x.flatten(2)).mean(2)


class BatchNorm(nn.Module):
    INPUT = 4, 2, 5, 5

    def __init__(self):
        super().__init__()
        self.bn2d = nn.BatchNorm2d(2)
        self.fc = nn.Linear(50, 3)
        self.bn1d = nn.BatchNorm1d(3, affine=False)

    def forward(self, x):
        return self.bn1d(self.fc(self.bn2d(x).flatten(1)))


class Embedding(nn.Module):
    INPUT = 4, 6

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4, padding_idx=0)
        self.norm = nn.LayerNorm(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.norm(self.embedding(x)).sum(1))


class LSTM(nn.Module):
    INPUT = 4, 5, 3

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 4, batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.gru(self.lstm(x)[0])[0][:, -1])


CASES = {"linear": Linear, "conv": Conv, "batch_norm": BatchNorm, "embedding": Embedding, "lstm": LSTM}
DTYPES = {"f32": (torch.float32, 1e-5), "f64": (torch.float64, 1e-12)}


def inputs(case, dtype):
    if case == "embedding":
        return torch.randint(10, CASES[case].INPUT)
    return torch.randn(CASES[case].INPUT, dtype=dtype)


def train(model, case, dtype):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs(case, dtype)), torch.arange(4) % 3).backward()
        optimizer.step()


def make_all(folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    data = {}
    for case, kind in CASES.items():
        for name, (dtype, _) in DTYPES.items():
            model = kind().to(dtype)
            train(model, case, dtype)
            save_file(model.state_dict(), folder / f"{case}_{name}.safetensors")
            x = inputs(case, dtype)
            with torch.no_grad():
                # the training mode last: it moves a batch norm's statistics
                outputs = {"eval": model.eval()(x), "train": model.train()(x), "moved": model.eval()(x)}
            data |= {f"{case}_{name}.{key}": value for key, value in {"input": x, **outputs}.items()}
    save_file(data, folder / "data.safetensors", metadata={"torch": torch.__version__})


def check_all(folder):
    data, wrong = load_file(folder / "data.safetensors"), 0
    for case, kind in CASES.items():
        for name, (dtype, bound) in DTYPES.items():
            model = kind().to(dtype)
            model.load_state_dict(load_file(folder / f"{case}_{name}.safetensors"), strict=True)
            for key, mode in ("eval", False), ("train", True), ("moved", False):
                with torch.no_grad():
                    got = model.train(mode)(data[f"{case}_{name}.input"])
                expected = data[f"{case}_{name}.{key}"]
                worst = (got - expected).abs().max().item()
                wrong += not worst <= bound or got.dtype != expected.dtype
                print(f"{case}_{name}, {key}: {'equal' if torch.equal(got, expected) else f'differs by {worst:.1e}'}")
    print(f"{wrong} wrong")
    return wrong != 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(common.rust_test("catena", "torch_models"))
    action = {"make": make_all, "check": check_all}[sys.argv[1]]
    sys.exit(action(Path(sys.argv[2])))
