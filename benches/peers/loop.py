"""One training step under a trainer over PyTorch: `loop.py FRAMEWORK NETWORK EPOCHS THREADS [DEVICE]` prints what it costs as JSON.

Every trainer gets the same ready batches and the same plain functions, and does nothing else: no log, no checkpoint,
no progress bar. An epoch lasts from one start of the loader to the next; the first one, to warm up, is left out.
"""

import json
import logging
import sys
import time
import warnings

import networks
import torch
from peak import peak_mib
from torch import nn


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


def compiled(model, criterion, optimizer, ready, epochs):
    """The loop written out, with what the model and the loss compute compiled by Inductor."""
    model.train()
    compute = torch.compile(lambda x, y: criterion(model(x), y), fullgraph=True)
    for _ in range(epochs):
        for x, y in ready:
            optimizer.zero_grad()
            compute(x, y).backward()
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


TRAINERS = {trainer.__name__: trainer for trainer in (pytorch, compiled, lightning, ignite, accelerate, catalyst)}


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    framework, name, epochs, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    trainer, network = TRAINERS[framework.removesuffix("-fused")], networks.NETWORKS[name]
    torch.set_num_threads(threads)
    ready, model = Ready(networks.batches(network, device)), networks.model(network, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=framework.endswith("-fused") or None)
    trainer(model, nn.CrossEntropyLoss(), optimizer, ready, 1 + epochs + 1)
    if len(ready.starts) < epochs + 2:
        sys.exit(f"{framework} went over the batches {len(ready.starts)} times, not {epochs + 2} times")
    # Counted from the end: Lightning tries the loader once before it trains.
    seconds = ready.starts[-1] - ready.starts[-1 - epochs]
    us_per_step = seconds * 1e6 / (epochs * len(ready))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"us_per_step": us_per_step, "parameters": parameters, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
