"""Builds and trains ConvModules; abstraction.rs starts it.

    python abstraction.py STACKS

STACKS is a JSON list of lists of [in_channels, out_channels, kernel_size, stride]. Each line of stdin is a task whose
seconds are printed: `build N` builds a stack, `train 0` is a forward and a backward pass of modules with batch norm in
evaluation, `train 1` the same with efficient_conv_bn_eval.
"""

import json
import sys
from time import perf_counter

import torch
from mmcv.cnn import ConvModule


def build(stack):
    for inputs, outputs, kernel, stride in stack:
        yield ConvModule(inputs, outputs, kernel, stride=stride, padding=kernel // 2, norm_cfg=dict(type="BN"))


def trained(efficient):
    modules = [
        ConvModule(64, 64, 3, padding=1, norm_cfg=dict(type="BN"), efficient_conv_bn_eval=efficient) for _ in range(4)
    ]
    return torch.nn.Sequential(*modules).eval()


def step(network, images):
    network(images).sum().backward()
    network.zero_grad(set_to_none=False)


def seconds(work, *arguments):
    start = perf_counter()
    work(*arguments)
    return perf_counter() - start


torch.set_num_threads(1)
torch.manual_seed(0)
stacks = json.loads(sys.argv[1])
networks = [trained(False), trained(True)]
images = torch.randn(8, 64, 28, 28)
print("ready", flush=True)
for line in sys.stdin:
    task, index = line.split()
    if task == "build":
        print(seconds(lambda stack: list(build(stack)), stacks[int(index)]), flush=True)
    else:
        print(seconds(step, networks[int(index)], images), flush=True)
