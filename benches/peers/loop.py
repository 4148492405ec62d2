"""One training step under a Python trainer: `loop.py FRAMEWORK MODEL EPOCHS THREADS [DEVICE]` prints its time as JSON.

Every trainer gets the same ready batches and the same plain functions, and does nothing else: no log, no checkpoint,
no progress bar. An epoch lasts from one start of the loader to the next; the first one, to warm up, is left out.
"""

import json
import logging
import sys
import time
import warnings

import torch
from torch import nn

WORK = {"tiny": (64, 32, 16, 2000), "mlp": (784, 128, 64, 400)}  # inputs, hidden, batch, steps an epoch
CLASSES = 10


class Ready:
    """Ready batches that note when each pass over them starts."""

    def __init__(self, batches):
        self.batches, self.starts = batches, []

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.starts.append(now())
        return iter(self.batches)


def now():
    """The time, when a GPU has done all that it was asked for."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def on_cpu(model):
    return next(model.parameters()).device.type == "cpu"


def pytorch(model, criterion, optimizer, ready, epochs):
    """The loop written out."""
    model.train()
    for _ in range(epochs):
        for x, y in ready:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()


def lightning(model, criterion, optimizer, ready, epochs):
    """Lightning without what can be left out (`barebones`)."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, _):
            x, y = batch
            return criterion(self.model(x), y)

        def configure_optimizers(self):
            return optimizer

    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu" if on_cpu(model) else "gpu", devices=1, barebones=True)
    trainer.fit(Module(), ready)


def ignite(model, criterion, optimizer, ready, epochs):
    """Ignite's engine with the update function of its quick start."""
    from ignite.engine import Engine

    def update(_, batch):
        model.train()
        optimizer.zero_grad()
        x, y = batch
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    Engine(update).run(ready, max_epochs=epochs)


def accelerate(model, criterion, optimizer, ready, epochs):
    """The loop of Accelerate's quick start; the batches are where they should be, so they aren't prepared."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=on_cpu(model))
    model, optimizer = accelerator.prepare(model, optimizer)
    model.train()
    for _ in range(epochs):
        for x, y in ready:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            accelerator.backward(loss)
            optimizer.step()


def catalyst(model, criterion, optimizer, ready, epochs):
    """Catalyst's supervised runner, which insists on a DataLoader: one that gives a ready batch per index."""
    from catalyst import dl

    class Indices:
        batch_size, drop_last = len(ready.batches[0][1]), False

        def __len__(self):
            return len(ready)

        def __iter__(self):
            ready.starts.append(now())
            return iter([[index] for index in range(len(ready))])

    loader = torch.utils.data.DataLoader(
        ready.batches, batch_sampler=Indices(), collate_fn=lambda batches: batches[0]
    )
    dl.SupervisedRunner().train(
        model=model, criterion=criterion, optimizer=optimizer, loaders={"train": loader}, num_epochs=epochs,
        engine=dl.CPUEngine(), verbose=False,
    )  # fmt: skip


TRAINERS = {trainer.__name__: trainer for trainer in (pytorch, lightning, ignite, accelerate, catalyst)}


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    framework, name, epochs, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    trainer = TRAINERS[framework.removesuffix("-fused")]
    inputs, hidden, batch, steps = WORK[name]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    batches = [(torch.rand(batch, inputs), torch.randint(CLASSES, (batch,))) for _ in range(steps)]
    ready = Ready([(x.to(device), y.to(device)) for x, y in batches])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=framework.endswith("-fused") or None)
    trainer(model, nn.CrossEntropyLoss(), optimizer, ready, 1 + epochs + 1)
    if len(ready.starts) < epochs + 2:
        sys.exit(f"{framework} went over the batches {len(ready.starts)} times, not {epochs + 2} times")
    # Counted from the end: Lightning tries the loader once before it trains.
    seconds = ready.starts[-1] - ready.starts[-1 - epochs]
    us_per_step = round(seconds * 1e6 / (epochs * steps), 2)
    print(json.dumps({"framework": framework, "model": name, "us_per_step": us_per_step}))


if __name__ == "__main__":
    main()
