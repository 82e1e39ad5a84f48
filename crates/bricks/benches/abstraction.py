"""Builds stacks of ConvModules; abstraction.rs starts it.

    python abstraction.py ROUNDS STACKS

STACKS is a JSON list of lists of [in_channels, out_channels, kernel_size, stride]. Prints the median seconds of each.
"""

import json
import sys
from statistics import median
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
rounds = int(sys.argv[1])
for stack in json.loads(sys.argv[2]):
    print(median(seconds(stack) for _ in range(rounds)))
