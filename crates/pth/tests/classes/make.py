"""Makes the files of this folder: checkpoints with objects of classes, and for each of them what `inspect` has to print.

    python make.py        (torch 2.13, mmengine 0.10)

`plain.*` are read by default, `opaque.*` with unknown classes as opaque records. The keys of a module are those of its
`state_dict()`.
"""

import argparse
import collections
import functools
import hashlib
import json
import pathlib
import sys
import types

import torch
from mmengine.logging import HistoryBuffer

HERE = pathlib.Path(__file__).parent

# A module that no reader has.
shop = types.ModuleType("shop")
sys.modules["shop"] = shop


def of_shop(thing):
    thing.__module__, thing.__qualname__ = "shop", thing.__name__
    setattr(shop, thing.__name__, thing)
    return thing


@of_shop
class Config:
    def __init__(self, **options):
        self.__dict__.update(options)


@of_shop
class Node(dict):
    """As yacs has them: a dict with attributes."""

    def __init__(self, items, frozen):
        super().__init__(items)
        self.__dict__["frozen"] = frozen


@of_shop
class Keyed:
    """Is made by NEWOBJ_EX."""

    def __new__(cls, *, weight):
        made = super().__new__(cls)
        made.weight = weight
        return made

    def __getnewargs_ex__(self):
        return (), {"weight": self.weight}

    def __getstate__(self):
        return None


@of_shop
class Slotted:
    __slots__ = ("weight", "name")


@of_shop
def rebuild(weight, name):
    return Config(weight=weight, name=name)


@of_shop
class Rebuilt:
    """Is made by calling a function."""

    def __init__(self, weight):
        self.weight = weight

    def __reduce__(self):
        return rebuild, (self.weight, "x")


@of_shop
class Stack(list):
    pass


@of_shop
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 2, 3, bias=False)
        self.layer1 = torch.nn.Sequential(torch.nn.Sequential(collections.OrderedDict(conv1=torch.nn.Conv2d(2, 2, 1), bn1=torch.nn.BatchNorm2d(2))))
        self.register_buffer("steps", torch.arange(3))
        self.register_buffer("grid", torch.zeros(4), persistent=False)
        self.register_parameter("nothing", None)
        self.loose = torch.ones(5)
        self.hook = functools.partial(print, "x")
        self.again = [self]


def describe(tensor):
    plain = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "sha256": hashlib.sha256(plain).hexdigest()}


def save(name, root, tensors, meta, protocols=(2,)):
    for protocol in protocols:
        for kind, zipped in (("pth-zip", True), ("pth-legacy", False)):
            file = f"{name}.{kind}.{protocol}.pth"
            torch.save(root, HERE / file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            listed = {key: describe(tensor) for key, tensor in tensors.items()}
            text = json.dumps({"format": kind, "tensors": listed, "meta": meta}, indent=1)
            (HERE / f"{file}.json").write_text(text + "\n")


def opaque(name):
    return {"$opaque": name}


def main():
    torch.manual_seed(0)
    weight, bias = torch.randn(2, 3), torch.randn(3)
    state, listed = {"state_dict": {"w": weight}}, {"state_dict.w": weight}
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    save("plain.version", {**state, "torch_version": torch.__version__}, listed, {"torch_version": str(torch.__version__)}, (1, 2, 3, 4, 5))
    counts = collections.defaultdict(int, a=1, b=collections.defaultdict(str, c="d"), e=collections.defaultdict(float))
    save("plain.counts", {**state, "counts": counts}, listed, {"counts": {"a": 1, "b": {"c": "d"}, "e": {}}}, (1, 2, 4))
    save("plain.history", {**state, "history": buffer}, listed, {"history": opaque("mmengine.logging.history_buffer.HistoryBuffer")}, (1, 2, 4, 5))
    save("plain.namespace", {**state, "args": argparse.Namespace(lr=0.1)}, listed, {"args": opaque("argparse.Namespace")}, (1, 2, 4))

    net = Net()
    save("opaque.module", net, net.state_dict(), {}, (1, 2, 4, 5))
    linear = torch.nn.Linear(2, 2)
    save("opaque.linear", linear, linear.state_dict(), {})
    parallel = {"epoch": 3, "model": torch.nn.DataParallel(linear), "ema": linear}
    save("opaque.parallel", parallel, {f"model.{key}": value for key, value in parallel["model"].state_dict().items()} | {f"ema.{key}": value for key, value in linear.state_dict().items()}, {"epoch": 3})

    config = Config(lr=0.1, depth=50)
    config.parent = config
    slotted = Slotted()
    slotted.weight, slotted.name = bias, "x"
    root = {
        **state, "config": config, "node": Node({"a": 1}, True), "hook": rebuild,
        "partial": functools.partial(rebuild, name="x"), "counts": collections.defaultdict(functools.partial(int, 3), a=1),
    }
    meta = {
        "config": opaque("shop.Config"), "node": opaque("shop.Node"), "hook": opaque("shop.rebuild"),
        "partial": opaque("functools.partial"), "counts": {"a": 1},
    }
    save("opaque.config", root, listed, meta, (1, 2, 3, 4, 5))
    root = {
        "config": Config(weight=weight, inner=Config(bias=bias), name="x"), "node": Node({"w": weight, 7: [bias]}, False),
        "slotted": slotted, "rebuilt": Rebuilt(weight), "stack": Stack([weight, bias]),
    }
    found = {
        "config.weight": weight, "config.inner.bias": bias, "node.w": weight, "node.7.0": bias, "slotted.weight": bias,
        "rebuilt.0": weight, "stack.0": weight, "stack.1": bias,
    }
    save("opaque.holders", root, found, {}, (2, 4))
    save("opaque.keyed", {"keyed": Keyed(weight=weight)}, {"keyed.0.weight": weight}, {}, (4,))


if __name__ == "__main__":
    main()
