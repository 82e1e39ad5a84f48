"""PyTorch's engines, and the export of networks for the others. mmpretrain builds the networks."""

import os
import pathlib

import images


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
    import torch

    torch.set_num_threads(arguments.threads)
    return build(arguments.network, f"{arguments.folder}/weights.pth")


def autocast(arguments):
    """Autocast to bf16, if `--dtype bf16` is set."""
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.dtype == "bf16")


def eager(arguments):
    import torch

    model = load(arguments)

    def run(images):
        with torch.inference_mode(), autocast(arguments):
            return forward(model, torch.from_numpy(images)).float()

    return run


def torchscript(arguments):
    import torch

    model = load(arguments)
    example = torch.from_numpy(images.noise(arguments.batch, arguments.size))
    with torch.no_grad(), autocast(arguments):
        traced = torch.jit.trace(traceable(model), example, check_trace=False)
    optimized = torch.jit.optimize_for_inference(torch.jit.freeze(traced))

    def run(images):
        with torch.inference_mode():
            return optimized(torch.from_numpy(images)).float()

    return run


def compiled(arguments):
    import torch
    import torch._inductor.config

    torch._inductor.config.freezing = True
    optimized = torch.compile(traceable(load(arguments)))

    def run(images):
        with torch.no_grad(), autocast(arguments):
            return optimized(torch.from_numpy(images)).float()

    run(images.noise(arguments.batch, arguments.size))  # compiles
    return run


def train(arguments):
    """A training step as `mmcv bench --train` does it: SGD with momentum and weight decay on random classes."""
    import torch

    model = load(arguments)
    model.train()
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    model.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    labels = torch.randint(1000, (arguments.batch,))

    def run(images):
        optimizer.zero_grad()
        with autocast(arguments):
            scores = forward(model, torch.from_numpy(images).to(memory_format=layout))
            loss = torch.nn.functional.cross_entropy(scores, labels)
        loss.backward()
        optimizer.step()

    return run


def export(arguments):
    """Draws weights, and writes them with the networks, images and their scores to the folder."""
    import torch

    os.makedirs(arguments.folder, exist_ok=True)
    model = build(arguments.network)
    torch.save({"state_dict": model.state_dict()}, f"{arguments.folder}/weights.pth")
    for shape in arguments.shapes:
        batch, size = map(int, shape.split("x"))
        example = images.crops(batch, size, images.COMPARISON)
        target = f"{arguments.folder}/{shape}"
        example.tofile(target + ".images")
        example = torch.from_numpy(example)
        torch.onnx.export(traceable(model), (example,), target + ".onnx", dynamo=False, opset_version=17)
        with torch.inference_mode():
            scores = forward(model, example)
        # The last one: it shows that the others are complete.
        pathlib.Path(target + ".scores").write_text(images.text(scores))
