"""Builds stacks of ConvModules; abstraction.rs starts it.

    python abstraction.py STACKS

STACKS is a JSON list of lists of [in_channels, out_channels, kernel_size, stride]. For each line of stdin, the number of
a stack, the stack is built and its seconds are printed.
"""

import json
import sys
from time import perf_counter

import torch
from mmcv.cnn import ConvModule


def build(stack):
    for inputs, outputs, kernel, stride in stack:
        yield ConvModule(inputs, outputs, kernel, stride=stride, padding=kernel // 2, norm_cfg=dict(type="BN"))


def seconds(stack):
    start = perf_counter()
    list(build(stack))
    return perf_counter() - start


torch.set_num_threads(1)
stacks = json.loads(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    print(seconds(stacks[int(line)]), flush=True)
