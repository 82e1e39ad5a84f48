"""Makes the files of this folder, and for each of them the JSON that `inspect --json --digest` has to print.

    python make.py        (torch 2.13, safetensors)

The expected values come from torch and the safetensors library, not from the crate under test.
"""

import collections
import hashlib
import json
import pathlib
import warnings

import safetensors.torch
import torch

HERE = pathlib.Path(__file__).parent
warnings.filterwarnings("ignore")


def digest(tensor):
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return hashlib.sha256(tensor.view(torch.uint8).numpy().tobytes()).hexdigest()


def describe(tensor):
    if tensor.layout != torch.strided:
        return {"unsupported": str(tensor.layout).removeprefix("torch.")}
    if tensor.is_quantized:
        return {"unsupported": "quantized"}
    if tensor.device.type == "meta":
        return {"unsupported": "meta"}
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "sha256": digest(tensor)}


def tensors(value, path=()):
    if isinstance(value, torch.Tensor):
        return {".".join(path): describe(value)}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found = {}
    for key, item in items:
        found |= tensors(item, (*path, str(key)))
    return found


def write_json(name, kind, listed, meta):
    text = json.dumps({"format": kind, "tensors": listed, "meta": meta}, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n")


def save(name, root, meta, protocols=(2,)):
    for protocol in protocols:
        for kind, zipped in (("pth-zip", True), ("pth-legacy", False)):
            if not zipped and name.startswith("new_types"):
                continue
            file = f"{name}.{kind}.{protocol}.pth"
            torch.save(root, HERE / file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            write_json(file, kind, tensors(root), meta)


def main():
    torch.manual_seed(0)
    weight = torch.randn(3, 4)
    save("root", weight, {})
    save("views", {
        "weight": weight, "same": weight, "transposed": weight.t(), "row": weight[1], "step": weight[:, ::2],
        "scalar": weight[2, 3], "empty": weight[:0], "beyond": torch.zeros(3, 4)[3:, 2:], "expanded": weight[:1].expand(5, 4),
        "overlapping": weight.as_strided((3, 3), (1, 2), 1),
        "conjugate": torch.randn(3, dtype=torch.cfloat).conj(), "negative": torch.randn(3, dtype=torch.cfloat).conj().imag,
    }, {})
    types = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
    save("types", {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)).t() for name in types}, {}, (2, 5))
    new = ["uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]
    save("new_types", {name: torch.arange(6).to(getattr(torch, name)) for name in new}, {})
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    meta = {
        "epoch": 12, "meta": {"CLASSES": ["person"], "none": None, "big": {"$int": str(2**70)}, "small": {"$int": str(-(2**64))}},
        "floats": [0.5, {"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}], "bytes": {"$bytes": "00ff"}, "set": {"$set": [1]},
        "complex": {"$complex": [1.0, -2.0]}, "dtype": {"$dtype": "float16"}, "device": {"$device": "cuda:0"}, "size": [1, 2],
        "3": "int key", "null": 1, "2.5": 2, '[1,"x"]': 3,
    }
    save("checkpoint", {
        "epoch": 12, "state_dict": module.state_dict(),
        "meta": {"CLASSES": ("person",), "none": None, "big": 2**70, "small": -(2**64)},
        "floats": [0.5, float("nan"), float("inf"), float("-inf")], "bytes": b"\x00\xff", "set": {1}, "complex": 1 - 2j,
        "dtype": torch.float16, "device": torch.device("cuda", 0), "size": torch.Size([1, 2]),
        3: "int key", None: 1, 2.5: 2, (1, "x"): 3,
        "optimizer": collections.defaultdict(list, groups=[{"params": [torch.nn.Parameter(weight)]}]),
    }, meta, (1, 2, 3, 4, 5))
    save("unsupported", {
        "sparse": torch.eye(2).to_sparse(), "csr": torch.eye(2).to_sparse_csr(), "meta": torch.empty(2, device="meta"),
        "quantized": torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "plain": weight,
    }, {})

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(2, 2)
            self.register_buffer("steps", torch.arange(3))

        def forward(self, x):
            return self.inner(x) + self.steps.sum()

    net = torch.jit.script(Net())
    net.save(HERE / "script.pt")
    write_json("script.pt", "torchscript", tensors(net.state_dict()), {"training": True, "_is_full_backward_hook": None})

    named = {"a.weight": weight, "b": torch.tensor(True), "c": torch.zeros(0, 2), "d": weight.bfloat16()}
    safetensors.torch.save_file(named, HERE / "plain.safetensors", metadata={"format": "pt"})
    write_json("plain.safetensors", "safetensors", tensors(named), {"__metadata__": {"format": "pt"}})


if __name__ == "__main__":
    main()
