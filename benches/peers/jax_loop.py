"""One training step in JAX: `jax_loop.py jit|scan NETWORK EPOCHS THREADS` prints what it costs as JSON.

`jit` calls a compiled step for each batch, `scan` one compiled loop for up to fifty batches that lie in memory one after the other. The
arguments that a step replaces are donated. How many threads there are XLA takes from the CPUs that the process may use.
"""

import json
import os
import sys
import time

import jax
import jax.numpy as jnp
import networks
import optax
from jax import lax
from peak import peak_mib

SCANNED = 50  # batches in one call, at most


def drawn(key, *shape):
    """Weights, drawn as PyTorch draws a linear layer's: uniform, within one over the root of what goes in."""
    inputs = shape[0] if len(shape) == 2 else shape[0] * shape[1] * shape[2]
    return jax.random.uniform(key, shape, minval=-1, maxval=1) * inputs**-0.5


def linear(keys, inputs, outputs):
    return {"w": drawn(next(keys), inputs, outputs), "b": jnp.zeros(outputs)}


def through(layer, x):
    return x @ layer["w"] + layer["b"]


def mlp(keys, widths):
    def forward(weights, statistics, x):
        for layer in weights[:-1]:
            x = jax.nn.relu(through(layer, x))
        return through(weights[-1], x), statistics

    return [linear(keys, *pair) for pair in zip(widths, widths[1:])], (), forward


def transformer(keys, vocabulary, length, width, heads, layers):
    scaled = lambda: {"scale": jnp.ones(width), "shift": jnp.zeros(width)}

    def block():
        return {
            "norm1": scaled(), "into": linear(keys, width, 3 * width), "out": linear(keys, width, width),
            "norm2": scaled(), "fc1": linear(keys, width, 4 * width), "fc2": linear(keys, 4 * width, width),
        }  # fmt: skip

    def normed(norm, x):
        x = x - x.mean(-1, keepdims=True)
        return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * norm["scale"] + norm["shift"]

    def forward(weights, statistics, tokens):
        x, n = weights["tokens"][tokens] + weights["positions"], tokens.shape[0]
        for layer in weights["blocks"]:
            parts = through(layer["into"], normed(layer["norm1"], x)).reshape(n, length, 3, heads, width // heads)
            seen = jax.nn.dot_product_attention(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2], is_causal=True)
            x = x + through(layer["out"], seen.reshape(n, length, width))
            wide = jax.nn.gelu(through(layer["fc1"], normed(layer["norm2"], x)), approximate=False)
            x = x + through(layer["fc2"], wide)
        x = through(weights["next"], normed(weights["norm"], x))
        return x.reshape(n * length, vocabulary), statistics

    weights = {
        "tokens": jax.random.normal(next(keys), (vocabulary, width)),
        "positions": jax.random.normal(next(keys), (length, width)) * 0.02,
        "blocks": [block() for _ in range(layers)], "norm": scaled(), "next": linear(keys, width, vocabulary),
    }  # fmt: skip
    return weights, (), forward


def resnet(keys, side, widths, classes):
    """Images are `[n, side, side, channels]`, the order in which XLA's convolutions on a CPU are fast."""

    def convolution(inputs, outputs):
        return {"w": drawn(next(keys), 3, 3, inputs, outputs), "scale": jnp.ones(outputs), "shift": jnp.zeros(outputs)}

    def normed(layer, running, x, stride=1):
        order = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, layer["w"], (stride, stride), ((1, 1), (1, 1)), dimension_numbers=order)
        mean = x.mean((0, 1, 2))
        variance = ((x - mean) ** 2).mean((0, 1, 2))
        count = x.size // x.shape[-1]
        found = {"mean": mean, "variance": variance * (count / (count - 1))}
        running = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * lax.stop_gradient(new), running, found)
        return (x - mean) * lax.rsqrt(variance + 1e-5) * layer["scale"] + layer["shift"], running

    def forward(weights, statistics, x):
        after = []
        for i, (layers, running) in enumerate(zip(weights["stages"], statistics)):
            x, first = normed(layers[0], running[0], x, stride=1 if i == 0 else 2)
            x = jax.nn.relu(x)
            y, second = normed(layers[1], running[1], x)
            y, third = normed(layers[2], running[2], jax.nn.relu(y))
            x = jax.nn.relu(x + y)
            after.append([first, second, third])
        return through(weights["fc"], x.mean((1, 2))), after

    pairs = list(zip(widths, widths[1:]))
    stages = [[convolution(*pair), convolution(pair[1], pair[1]), convolution(pair[1], pair[1])] for pair in pairs]
    fresh = lambda outputs: {"mean": jnp.zeros(outputs), "variance": jnp.ones(outputs)}
    statistics = [[fresh(outputs) for _ in range(3)] for outputs in widths[1:]]
    return {"stages": stages, "fc": linear(keys, widths[-1], classes)}, statistics, forward


def batches(network):
    shape, tokens, labels, classes = networks.shapes(network)
    if len(shape) == 4:
        shape = (shape[0], *shape[2:], shape[1])
    key = jax.random.key(1)
    for _ in range(network["steps"]):
        key, one, two = jax.random.split(key, 3)
        x = jax.random.randint(one, shape, 0, tokens) if tokens else jax.random.uniform(one, shape)
        yield x, jax.random.randint(two, (labels,), 0, classes)


def stepped(forward, optimizer):
    """A training step: what is trained, what Adam keeps and batch norm's statistics, and those after a batch."""

    def loss(weights, statistics, x, y):
        output, statistics = forward(weights, statistics, x)
        return optax.softmax_cross_entropy_with_integer_labels(output, y).mean(), statistics

    def step(state, batch):
        weights, kept, statistics = state
        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(weights, statistics, *batch)
        updates, kept = optimizer.update(gradients, kept)
        return (optax.apply_updates(weights, updates), kept, statistics), value

    return step


def main():
    mode, network, epochs = sys.argv[1], networks.NETWORKS[sys.argv[2]], int(sys.argv[3])
    if len(os.sched_getaffinity(0)) != int(sys.argv[4]):
        sys.exit(f"JAX takes a thread for each of {len(os.sched_getaffinity(0))} CPUs: pin it to {sys.argv[4]}")
    [(kind, size)] = network["model"].items()
    keys = iter(jax.random.split(jax.random.key(0), 100))
    weights, statistics, forward = {"mlp": mlp, "transformer": transformer, "resnet": resnet}[kind](keys, **size)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(weights))
    optimizer, ready = optax.adam(1e-3), list(batches(network))
    step = stepped(forward, optimizer)
    if mode == "scan":
        pieces = [ready[at : at + SCANNED] for at in range(0, len(ready), SCANNED)]
        ready = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *piece) for piece in pieces]
        run = jax.jit(lambda state, piece: lax.scan(step, state, piece), donate_argnums=0)
    else:
        run = jax.jit(step, donate_argnums=0)
    state = jax.block_until_ready((weights, optimizer.init(weights), statistics))
    for epoch in range(1 + epochs):
        if epoch == 1:
            jax.block_until_ready(state)
            begin = time.perf_counter()
        for batch in ready:
            state, value = run(state, batch)
    jax.block_until_ready((state, value))
    us_per_step = (time.perf_counter() - begin) * 1e6 / (epochs * network["steps"])
    print(json.dumps({"us_per_step": us_per_step, "parameters": parameters, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
