"""The networks that are measured (networks.json) in PyTorch, and their ready batches."""

import json
from pathlib import Path

NETWORKS = {network["name"]: network for network in json.loads(Path(__file__).with_name("networks.json").read_text())}


def shapes(network):
    """Of a batch: the input's shape and how many different tokens it has (none: floats), the number of labels and of classes."""
    [(kind, size)], batch = network["model"].items(), network["batch"]
    if kind == "mlp":
        return (batch, size["widths"][0]), None, batch, size["widths"][-1]
    if kind == "transformer":
        vocabulary, length = size["vocabulary"], size["length"]
        return (batch, length), vocabulary, batch * length, vocabulary
    return (batch, size["widths"][0], size["side"], size["side"]), None, batch, size["classes"]


def batches(network, device):
    import torch

    shape, tokens, labels, classes = shapes(network)
    torch.manual_seed(1)
    draw = (lambda: torch.randint(tokens, shape)) if tokens else (lambda: torch.rand(shape))
    ready = [(draw(), torch.randint(classes, (labels,))) for _ in range(network["steps"])]
    return [(x.to(device), y.to(device)) for x, y in ready]


def model(network, device):
    import torch

    torch.manual_seed(0)
    [(kind, size)] = network["model"].items()
    return {"mlp": mlp, "transformer": transformer, "resnet": resnet}[kind](**size).to(device)


def mlp(widths):
    from torch import nn

    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def transformer(vocabulary, length, width, heads, layers):
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            n = x.shape[0]
            parts = self.into(x).view(n, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            seen = nn.functional.scaled_dot_product_attention(*parts, is_causal=True)
            return self.out(seen.transpose(1, 2).reshape(n, length, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.Sequential(nn.LayerNorm(width), Attention())
            self.think = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x):
            x = x + self.attend(x)
            return x + self.think(x)

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(vocabulary, width)
            self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.next = nn.LayerNorm(width), nn.Linear(width, vocabulary)

        def forward(self, x):
            x = self.blocks(self.tokens(x) + self.positions)
            return self.next(self.norm(x)).flatten(0, 1)

    return Transformer()


def resnet(side, widths, classes):
    from torch import nn

    def normed(inputs, outputs, stride=1):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return convolution, nn.BatchNorm2d(outputs)

    class Block(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    layers = []
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        block = Block(*normed(outputs, outputs), nn.ReLU(), *normed(outputs, outputs))
        layers += [*normed(inputs, outputs, stride=1 if i == 0 else 2), nn.ReLU(), block, nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
