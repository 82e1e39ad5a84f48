"""Writes the seeds of the fuzz targets: `python fuzz/seeds.py`. Torch 2.13 and safetensors. Files that are called `good_*`
can be read; all others have to be refused, and none may do more."""

import collections
import datetime
import io
import json
import pickle
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

CORPUS = Path(__file__).parent / "corpus"


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def state():
    base = torch.arange(12, dtype=torch.float32)
    state = OrderedDict(weight=base.reshape(3, 4), view=base[2:8:2], half=torch.ones(2, dtype=torch.bfloat16))
    state["scalar"], state["empty"] = torch.tensor(True), torch.zeros(0, 3, dtype=torch.int64)
    state._metadata = OrderedDict({"": {"version": 1}})
    return state


def checkpoint():
    sparse = torch.eye(2).to_sparse()
    meta = {"epoch": 3, "lr": 0.1, "names": ["a", "b"], "args": Namespace(x=1), "time": datetime.date(2020, 1, 2), "none": None}
    return {"state_dict": state(), "meta": meta, "other": [torch.zeros(2), (1, 2.5, b"x")], "sparse": sparse}


def pickled(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def call(module, name, *arguments):
    """A pickle that calls a function."""
    text = pickle.dumps(arguments, 2)[2:-1]
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + text + b"R."


def main():
    whole = saved(checkpoint())
    write("zip", "good_state", saved(state()))
    write("zip", "good_checkpoint", whole)
    write("zip", "cut", whole[: len(whole) // 2])
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(2, 3)

        def forward(self, x):
            return self.fc(x)

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Net()), buffer)
    write("zip", "good_torchscript", buffer.getvalue())
    old = saved(checkpoint(), _use_new_zipfile_serialization=False)
    write("legacy", "good_checkpoint", old)
    write("legacy", "good_state", saved(state(), _use_new_zipfile_serialization=False))
    write("legacy", "cut", old[: len(old) - 20])
    tensors = save({"a": torch.arange(6).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}, {"format": "pt"})
    write("safetensors", "good_two", tensors)
    write("safetensors", "cut", tensors[:-3])
    write("safetensors", "hole", tensors.replace(b"[48,52]", b"[50,54]"))
    for protocol in range(1, 6):
        value = {"a": 1, "b": [1.5, None, True, "text", b"bytes"], "c": (1, (2, 3)), 7: {"x": 2**70}}
        write("pickle", f"good_protocol_{protocol}", pickle.dumps(value, protocol))
    write("pickle", "good_tensor", pickled(saved({"x": torch.arange(16, dtype=torch.float32)})))
    write("pickle", "system", call("os", "system", "true"))
    write("pickle", "getattr", call("builtins", "getattr", 1, "real"))
    write("pickle", "eval", call("builtins", "eval", "1"))
    write("pickle", "deep", b"\x80\x02" + b"]" * 600 + b"a" * 599 + b".")
    write("pickle", "cycle", b"\x80\x02]q\x00h\x00a.")
    write("pickle", "giant_long", b"\x80\x02\x8b\xff\xff\xff\x7f.")
    write("pickle", "persistent", b"\x80\x02X\x01\x00\x00\x00aQ.")
    write("pickle", "good_long", pickle.dumps({"a": collections.defaultdict(int, x=1)}, 2, fix_imports=True))
    write("pickle", "good_version", call("torch.torch_version", "TorchVersion", "2.13.0"))
    write("pickle", "good_reconstructor", pickle.dumps(Namespace(x=1), 1))
    write("pickle", "reconstructor", call("copy_reg", "_reconstructor", 1, 2, 3))
    write("opaque", "good_system", call("os", "system", "true"))
    write("opaque", "good_module", pickled(saved(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 4, bias=False)))))
    write("opaque", "good_itself", b"\x80\x02cshop\nA\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb.")
    write("opaque", "cycle", b"\x80\x02]q\x00h\x00a.")
    write("opaque", "number", b"\x80\x02K\x01)R.")
    arrays = {"model": {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.asfortranarray(np.ones((2, 2), ">f8"))}, "__author__": "x"}
    for protocol in range(2, 6):
        write("arrays", f"good_protocol_{protocol}", pickle.dumps(arrays, protocol))
    write("arrays", "good_long", pickle.dumps({"a": np.zeros(5000), "b": b"x" * 5000}, 4))
    write("arrays", "objects", pickle.dumps({"a": np.array([None, "x"])}, 2))
    write("arrays", "cut", pickle.dumps(arrays, 2)[:-9])
    write("arrays", "size", pickle.dumps(arrays, 2).replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86"))
    table = {"a": "https://example.com/a-01234567.pth", "b": "models/b.pth", "c": None, "d": "../d-01234567.pth"}
    write("tables", "good_table", json.dumps(table).encode())
    write("tables", "good_empty", b"{}")
    write("tables", "list", b"[1, 2]")
    write("tables", "good_numbers", b'{"a": 1, "b": {"c": []}}')
    write("tables", "cut", b'{"a": "https://example.com/')
    write("tables", "bom", b'\xef\xbb\xbf{"a": "x"}')


main()
