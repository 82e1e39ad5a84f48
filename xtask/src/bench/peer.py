"""One engine of `cargo xtask bench`: prints `ready`, and for each line `run` the milliseconds of one pass.

    peer.py ENGINE NETWORK.yaml --folder FOLDER [--batch-size N] [--size S] [--threads T] [--dtype f32|bf16]
    peer.py export NETWORK.yaml... --folder FOLDER --batch-size N...
    peer.py versions

NETWORK.yaml is the dict of an mmpretrain model, the same file that `mmcv bench` reads. `export` draws random weights and
writes them to FOLDER/NAME.pth, which all engines load, and the networks to FOLDER/NAME-BATCH.onnx.
"""

import argparse
import importlib.metadata
import os
import pathlib
import platform
import sys
import time

PACKAGES = ["torch", "mmpretrain", "mmcv-lite", "onnxruntime", "openvino"]


def build(network, weights=None):
    """The mmpretrain model in evaluation mode, with these weights or new ones."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    import mmcv

    mmcv.__version__ = "2.1.0"  # mmpretrain 1.2.0 refuses 2.2.0, and works with it
    import mmpretrain.models
    import torch
    import yaml
    from mmpretrain.registry import MODELS

    logging.disable(logging.CRITICAL)
    torch.manual_seed(0)
    model = MODELS.build(yaml.safe_load(pathlib.Path(network).read_text()))
    if weights is None:
        model.init_weights()
        randomize_norms(model)
    else:
        from mmengine.runner import load_checkpoint

        load_checkpoint(model, weights, map_location="cpu", strict=True)
    model.eval()  # does not always return the model
    return model


def randomize_norms(model):
    """Replaces degenerate norms: a norm of weight 0 makes the convolution before it superfluous."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1)
            torch.nn.init.uniform_(module.bias, -0.1, 0.1)


def forward(model, images):
    """The scores, or all outputs of a backbone without a head."""
    if not hasattr(model, "backbone"):
        outputs = model(images)
        return outputs[0] if len(outputs) == 1 else outputs
    return model.head(model.neck(model.backbone(images)))


def traceable(model):
    """The model as a module that uses `forward` of this file."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, images):
            return forward(self.model, images)

    return Whole().eval()


def load(arguments):
    """The model and its images."""
    import torch

    torch.set_num_threads(arguments.threads)
    [network], [batch] = arguments.network, arguments.batch
    model = build(network, f"{arguments.folder}/{pathlib.Path(network).stem}.pth")
    torch.manual_seed(1)
    return model, torch.randn(batch, 3, arguments.size, arguments.size)


def autocast(arguments):
    """Autocast to bf16, if `--dtype bf16` is set."""
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.dtype == "bf16")


def eager(arguments):
    import torch

    model, images = load(arguments)

    def run():
        with torch.inference_mode(), autocast(arguments):
            forward(model, images)

    return run


def torchscript(arguments):
    import torch

    model, images = load(arguments)
    with torch.no_grad(), autocast(arguments):
        traced = torch.jit.trace(traceable(model), images, check_trace=False)
    optimized = torch.jit.optimize_for_inference(torch.jit.freeze(traced))

    def run():
        with torch.inference_mode():
            optimized(images)

    return run


def compiled(arguments):
    import torch
    import torch._inductor.config

    torch._inductor.config.freezing = True
    model, images = load(arguments)
    optimized = torch.compile(traceable(model))

    def run():
        with torch.no_grad(), autocast(arguments):
            optimized(images)

    run()  # compiles
    return run


def onnxruntime(arguments):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph(arguments), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: pixels(arguments)}
    return lambda: session.run(None, inputs)


def openvino(arguments):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": arguments.threads,
        "INFERENCE_PRECISION_HINT": arguments.dtype,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(core.read_model(graph(arguments)), "CPU", settings).create_infer_request()
    inputs = [pixels(arguments)]
    return lambda: request.infer(inputs, share_inputs=True)


def graph(arguments):
    [network], [batch] = arguments.network, arguments.batch
    return f"{arguments.folder}/{pathlib.Path(network).stem}-{batch}.onnx"


def pixels(arguments):
    import numpy

    shape = (arguments.batch[0], 3, arguments.size, arguments.size)
    return numpy.random.default_rng(1).standard_normal(shape, dtype=numpy.float32)


def train(arguments):
    """A training step as `mmcv bench --train` does it: SGD with momentum and weight decay on random classes."""
    import torch

    model, images = load(arguments)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    labels = torch.randint(1000, (arguments.batch[0],))

    def run():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(forward(model, images), labels).backward()
        optimizer.step()

    return run


def export(arguments):
    """Writes FOLDER/NAME-BATCH.onnx for each network and batch, and FOLDER/NAME.pth with the weights."""
    import torch

    for network in arguments.network:
        name = pathlib.Path(network).stem
        model = build(network)
        torch.save({"state_dict": model.state_dict()}, f"{arguments.folder}/{name}.pth")
        for batch in arguments.batch:
            images = torch.zeros(batch, 3, arguments.size, arguments.size)
            target = f"{arguments.folder}/{name}-{batch}.onnx"
            torch.onnx.export(traceable(model), (images,), target + ".part", dynamo=False, opset_version=17)
            os.replace(target + ".part", target)


def versions(_):
    print("Python", platform.python_version())
    for package in PACKAGES:
        print(package, importlib.metadata.version(package))


ENGINES = {
    "eager": eager,
    "torchscript": torchscript,
    "compile": compiled,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "train": train,
}


def serve(run):
    print("ready", flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "quit":
            return
        if word != "run":
            print(f"error: expected `run` or `quit`, found {word!r}", flush=True)
            continue
        start = time.perf_counter()
        run()
        print(f"{1e3 * (time.perf_counter() - start):.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=[*ENGINES, "export", "versions"])
    parser.add_argument("network", nargs="*")
    parser.add_argument("--batch-size", dest="batch", type=int, nargs="+", default=[1])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    if arguments.engine in ENGINES:
        serve(ENGINES[arguments.engine](arguments))
    else:
        {"export": export, "versions": versions}[arguments.engine](arguments)


if __name__ == "__main__":
    main()
