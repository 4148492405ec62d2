"""TensorBoard's own reader reads what was written, with equal values and steps, also after a run was killed and resumed.

    python tests/interop/tensorboard.py

Makes a virtual environment with PyPI's `tensorboard`, unless this Python has it.
"""

import io
import math
import subprocess
import tempfile

import common

common.need("tensorboard", "numpy", "PIL", packages=["tensorboard", "numpy", "pillow"])

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from tensorboard.backend.event_processing import data_provider, event_accumulator, plugin_event_multiplexer  # noqa: E402
from tensorboard.data import provider as base_provider  # noqa: E402
from tensorboard.plugins.hparams import plugin_data_pb2  # noqa: E402
from tensorboard.util import tensor_util  # noqa: E402
from tensorboard import context  # noqa: E402

STEPS, SNAPSHOT, KILLED = 20, 12, 18
EPOCH_ENDS = [5, 10, 15, 20]
ALL = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0, "compressedHistograms": 0}


def reader(folder):
    return event_accumulator.EventAccumulator(f"{folder}/tensorboard", size_guidance=ALL)


def scalars(read, tag):
    return [(event.step, event.value) for event in read.Scalars(tag)]


def check(read, what, texts=True):
    f32 = lambda x: float(np.float32(x))
    losses = [(step, f32(1 / step)) for step in range(1, STEPS + 1)]
    common.expect(f"{what}: each batch once, in order", scalars(read, "train.batches/loss"), losses)
    for loader in ["train", "valid"]:
        ends = [(step, f32(1 / step)) for step in EPOCH_ENDS]
        common.expect(f"{what}: {loader}/loss", scalars(read, f"{loader}/loss"), ends)
        accuracy = [(step, f32(step / 1000)) for step in EPOCH_ENDS]
        common.expect(f"{what}: {loader}/accuracy@1", scalars(read, f"{loader}/accuracy@1"), accuracy)
        recall = [scalars(read, f"{loader}/recall/{i}") for i in range(2)]
        wanted = [[(step, 0.5) for step in EPOCH_ENDS], [(step, f32(step / 1000)) for step in EPOCH_ENDS]]
        common.expect(f"{what}: {loader}, a list", recall, wanted)
    strange = [(step, math.isnan(x), math.isinf(x)) for step, x in scalars(read, "valid/strange")]
    common.expect(f"{what}: what is not finite", strange, [(step, step % 2 == 0, step % 2 == 1) for step in EPOCH_ENDS])

    for event, step in zip(read.Histograms("train/weights"), EPOCH_ENDS, strict=True):
        numbers = np.arange(step * 10.0)
        value = event.histogram_value
        common.expect(
            f"{what}: histogram at {step}",
            (event.step, value.min, value.max, value.num, value.sum, value.sum_squares, sum(value.bucket)),
            (step, 0.0, numbers[-1], len(numbers), numbers.sum(), (numbers**2).sum(), len(numbers)),
        )
        counts, _ = np.histogram(numbers, bins=64)
        common.expect(f"{what}: numpy's bins at {step}", list(value.bucket), [float(x) for x in counts])
    pictures = [(tag, pair) for tag in ["confusion", "matrix"] for pair in zip(read.Images(f"valid/{tag}"), EPOCH_ENDS, strict=True)]
    for tag, (event, step) in pictures:
        image = Image.open(io.BytesIO(event.encoded_image_string))
        common.expect(
            f"{what}: image of {tag} at {step}",
            (event.step, event.width, event.height, image.size, image.getpixel((0, 0)), image.getpixel((63, 0))),
            (step, 64, 64, (64, 64), (8, 48, 107), (255, 255, 255)),
        )
    if texts:
        tensors = read.Tensors("train/remark")
        shown = [(event.step, tensor_util.make_ndarray(event.tensor_proto).tolist()) for event in tensors]
        wanted = [(step, [f"**step** {step}".encode()]) for step in EPOCH_ENDS]
        common.expect(f"{what}: texts", shown, wanted)

    content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    params = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    wanted = {"lr": 0.125, "optimizer.name": "sgd", "optimizer.nesterov": True, "layers": "[64,10]"}
    common.expect(f"{what}: hyper-parameters", params, wanted)


def check_what_is_shown(folder):
    """As the web page asks for it."""
    read = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"hparams": 0}).AddRunsFromDirectory(folder)
    read.Reload()
    provider = data_provider.MultiplexerDataProvider(read, folder)
    ask = dict(experiment_id="", run_tag_filter=None)
    here = context.RequestContext()

    def tags(listed):
        return sorted(tag for run in listed.values() for tag in run)

    shown = tags(provider.list_scalars(here, plugin_name="scalars", **ask))
    names = ["accuracy@1", "loss", "strange"]
    wanted = [f"{loader}/{name}" for loader in ["train", "train.batches", "valid"] for name in names]
    wanted = sorted(wanted + [f"{loader}/recall/{i}" for loader in ["train", "valid"] for i in range(2)])
    common.expect("shown: scalars", shown, wanted)
    for plugin, tag in [("histograms", "weights"), ("text", "remark")]:
        shown = tags(provider.list_tensors(here, plugin_name=plugin, **ask))
        common.expect(f"shown: {plugin}", shown, [f"train/{tag}", f"valid/{tag}"])
    shown = tags(provider.list_blob_sequences(here, plugin_name="images", **ask))
    common.expect("shown: images", shown, ["train/confusion", "train/matrix", "valid/confusion", "valid/matrix"])
    shown = tags(provider.list_tensors(here, plugin_name="hparams", **ask))
    common.expect("shown: hyper-parameters", shown, ["_hparams_/session_start_info"])
    filter = base_provider.RunTagFilter(tags=["train/weights"])
    (run,) = provider.read_tensors(
        here, experiment_id="", plugin_name="histograms", run_tag_filter=filter, downsample=100
    ).values()
    last = run["train/weights"][-1].numpy
    common.expect("shown: a histogram's counts", (last.shape[1], last[:, 2].sum()), (3, 200.0))


def main():
    write = common.program()
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = f"{folder}/whole", f"{folder}/killed"
        subprocess.run([write, whole, str(STEPS)], check=True)
        check(reader(whole).Reload(), "whole run")
        check_what_is_shown(whole)

        left = subprocess.run([write, killed, str(KILLED), "--snapshot", str(SNAPSHOT)], check=False)
        common.expect("the killed run's exit status", left.returncode, 9)
        live = reader(killed).Reload()
        seen = [step for step, _ in scalars(live, "train.batches/loss")]
        common.expect("killed run: batches", seen, list(range(1, KILLED + 1)))
        subprocess.run([write, killed, str(STEPS), "--resume"], check=True)
        check(reader(killed).Reload(), "resumed run")
        # what it has read of tensors, which texts are, TensorBoard never forgets
        check(live.Reload(), "resumed run, watched while it was killed", texts=False)
    print("all is well")


main()
