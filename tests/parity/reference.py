"""Builds and runs a case in the Python reference."""

import logging
import warnings
import zlib
from collections import OrderedDict

import mmcv

mmcv.__version__ = "2.1.0"  # mmpretrain 1.2.0 refuses 2.2.0, and works with it

import mmcv.cnn
import mmcv.cnn.bricks.drop
import mmcv.cnn.bricks.scale
import mmcv.cnn.bricks.transformer
import mmengine.model
import mmpretrain.models
import torch
from mmengine.registry import MODELS as ROOT
from mmpretrain.registry import MODELS

import mmdetection
import openmmlab
from case import Result

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

BUILDERS = {
    "conv": mmcv.cnn.build_conv_layer,
    "norm": mmcv.cnn.build_norm_layer,
    "activation": mmcv.cnn.build_activation_layer,
    "upsample": mmcv.cnn.build_upsample_layer,
    "padding": mmcv.cnn.build_padding_layer,
    "plugin": mmcv.cnn.build_plugin_layer,
}
UNREGISTERED = [mmcv.cnn, mmcv.cnn.bricks.scale, mmcv.cnn.bricks.drop, mmcv.cnn.bricks.transformer]
CONTAINERS = {name: getattr(mmengine.model, name) for name in ("Sequential", "ModuleList", "ModuleDict")}
NAMED = {"norm", "plugin"}


def as_python(value):
    """JSON has no tuples: a list is a tuple for the reference, unless it holds dicts or stands in an `init_cfg`."""
    if isinstance(value, dict):
        return {key: item if key == "init_cfg" else as_python(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [as_python(item) for item in value]
        return items if any(isinstance(item, dict) for item in items) else tuple(items)
    return value


def build(builder, cfg, kwargs):
    """The layer, and its name where the builder returns one."""
    cfg, kwargs = as_python(cfg), as_python(kwargs)
    if builder == "model":
        return build_model(cfg), None
    built = BUILDERS[builder](cfg, **kwargs)
    return (built[1], built[0]) if builder in NAMED else (built, None)


def build_container(cfg):
    """The reference's containers take built modules: here they stand as dicts under `modules`."""
    kind, modules = CONTAINERS[cfg["type"]], cfg.get("modules") or []
    if isinstance(modules, dict):
        modules = OrderedDict((name, build_model(module)) for name, module in modules.items())
    else:
        modules = [build_model(module) for module in modules]
    others = {key: value for key, value in cfg.items() if key not in {"type", "modules"}}
    if kind is not mmengine.model.Sequential:
        return kind(modules, **others)
    return kind(modules, **others) if isinstance(modules, dict) else kind(*modules, **others)


def build_model(cfg):
    """From the registry; a class that is exported but registered nowhere, by its class name."""
    name = cfg.get("type") if isinstance(cfg, dict) else None
    if isinstance(name, str) and name in CONTAINERS:
        return build_container(cfg)
    if isinstance(name, str) and openmmlab.find(name):
        return openmmlab.build(cfg)
    if isinstance(name, str) and cfg.get("plugins"):
        return mmdetection.build(cfg)
    if isinstance(name, str) and "." not in name and MODELS.get(name) is None:
        for module in UNREGISTERED:
            if hasattr(module, name):
                return getattr(module, name)(**{key: value for key, value in cfg.items() if key != "type"})
    registry = ROOT if isinstance(name, str) and ROOT.get(name) is not None else MODELS
    return registry.build(cfg)


def manual(case, salt):
    """A generator of its own for each use, so that adding a case changes no other."""
    return torch.Generator().manual_seed(zlib.crc32(f"{case.name}/{salt}".encode()))


def inputs(case):
    drawn = {
        name: torch.randn(shape, generator=manual(case, name), dtype=case.dtype) for name, shape in case.inputs.items()
    }
    return {name: value > 0.5 if name in case.masks else value for name, value in drawn.items()}


def given_state(case, module):
    """A random state with plausible values: positive variances, spectral vectors that fit their weight."""
    draws, state = manual(case, "state"), {}
    for key, old in module.state_dict().items():
        if not old.is_floating_point():
            state[key] = torch.full_like(old, 3)
            continue
        new = torch.randn(old.shape, generator=draws, dtype=case.dtype) * 0.5
        if key.endswith("running_var"):
            new = new.abs() + 0.5
        elif key.endswith(("weight_orig", "weight_u", "weight_v")):
            new = old.to(case.dtype) * (1.5 if key.endswith("orig") else -1)
        state[key] = new
    return state


def prepare(builder, cfg, kwargs, seed, init_weights):
    """Seed, build, initialize: `(module, name)`."""
    torch.manual_seed(seed)
    module, name = build(builder, cfg, kwargs)
    if init_weights:
        module.init_weights()
    return module, name


def load(module, state):
    """Strictly; a state in another type makes a module in that type."""
    floats = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} - {torch.float32}
    for dtype in floats:
        module.to(dtype)
    module.load_state_dict(state, strict=True)


def forward(module, values, train, forward_kwargs, forward_seed):
    """The outputs by their names in the file. The inputs are cloned: an in-place layer may write into them."""
    module.train(train)
    if forward_seed is not None:
        torch.manual_seed(forward_seed)
    values = [value.clone() for value in values]
    out = module(values) if openmmlab.takes_list(module) else module(*values, **forward_kwargs)
    if isinstance(out, torch.Tensor):
        return {"out": out}
    tensors = [(index, item) for index, item in enumerate(out) if isinstance(item, torch.Tensor)]
    if len(tensors) == 1 and len(tensors) < len(out):
        return {"out": tensors[0][1]}
    return {f"out:{index}": item for index, item in tensors}


def backward(outs, cotangents):
    sum((outs[f"out{key.removeprefix('cot')}"] * cot).sum() for key, cot in cotangents.items()).backward()


def buffers(module):
    parameters = {key for key, _ in module.named_parameters()}
    return {key: value for key, value in module.state_dict().items() if key not in parameters}


def gradients(module):
    return {key: value.grad for key, value in module.named_parameters() if value.grad is not None}


def run(case):
    """Runs a case that must succeed."""
    module, name = prepare(case.builder, case.cfg, case.kwargs, case.seed, case.init_weights)
    state = module.state_dict()
    if case.given:
        state = given_state(case, module)
        load(module, state)
    tensors = {f"state:{key}": value.clone() for key, value in state.items()}
    result = Result(tensors, name if case.builder == "norm" else None)
    if not case.inputs:
        return result
    values = inputs(case)
    tensors |= {f"in:{key}": value.clone() for key, value in values.items()}
    if case.backward and case.input_gradient:
        for name, value in values.items():
            value.requires_grad_(name not in case.masks)
    outs = forward(module, values.values(), case.train, case.forward_kwargs, case.forward_seed)
    tensors |= {key: value.detach().clone() for key, value in outs.items()}
    keep = lambda tensor: case.largest is None or tensor.numel() <= case.largest
    tensors |= {f"after:{key}": value.clone() for key, value in buffers(module).items() if keep(value)}
    if case.backward:
        draws = manual(case, "cot")
        cotangents = {
            f"cot{key.removeprefix('out')}": torch.randn(out.shape, generator=draws, dtype=out.dtype)
            for key, out in outs.items()
        }
        backward(outs, cotangents)
        tensors |= cotangents
        tensors |= {f"grad:in:{key}": value.grad for key, value in values.items() if value.grad is not None}
        tensors |= {f"grad:{key}": value for key, value in gradients(module).items() if keep(value)}
    return result


def refuse(case):
    """Runs a case that must fail: the inputs alone, and the reference's message. RuntimeError if it does not fail."""
    values = inputs(case)
    try:
        module, _ = prepare(case.builder, case.cfg, case.kwargs, case.seed, case.init_weights)
        if values:
            forward(module, values.values(), case.train, case.forward_kwargs, case.forward_seed)
    except Exception as error:
        return Result({f"in:{key}": value for key, value in values.items()}), f"{type(error).__name__}: {error}"
    raise RuntimeError(f"{case.name}: the reference accepts what should be refused")
