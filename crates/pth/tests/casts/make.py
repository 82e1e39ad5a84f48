"""Makes the file of this folder: numbers of each floating-point type, and what `torch.Tensor.to` makes of them.

    python make.py        (torch 2.13, safetensors)
"""

import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
BITS = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32, torch.float64: torch.int64}


def numbers(dtype):
    """Powers of two and their neighbors, the middles between them, random bits; no NaN."""
    powers = torch.tensor([sign * 2.0**exponent for exponent in range(-150, 129) for sign in (1, -1)], dtype=torch.float64)
    near = torch.cat([powers * (1 + step * 2.0**-bits) for bits in (8, 9, 11, 12, 24, 25) for step in (1, 2, 3)])[::17]
    random = torch.randint(-(2**62), 2**62, (150,)).to(torch.int64) * 2
    random = random.view(torch.float64) if dtype == torch.float64 else (random >> 40).to(BITS[dtype]).view(dtype).double()
    middle = torch.randn(200, dtype=torch.float64) * torch.logspace(-12, 6, 200, base=10, dtype=torch.float64)
    found = torch.cat([torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 65504, 65519.99, 65520, 3.3895e38, 3.39e38]), powers[::5], near, random, middle]).to(dtype)
    return found[~found.isnan()].contiguous()


torch.manual_seed(0)
tensors = {}
for source in TYPES:
    name = str(source).removeprefix("torch.")
    tensors[name] = numbers(source)
    for target in TYPES:
        if target != source:
            tensors[f"{name}.{str(target).removeprefix('torch.')}"] = tensors[name].to(target)
save_file(tensors, HERE / "casts.safetensors")
