"""`build_conv_layer`: Conv1d, Conv2d, Conv3d, Conv, and no config at all."""

from functools import partial

import torch

from case import Case
from groups.options import maybe, per_dimension, split

make = partial(Case, builder="conv", inputs={"x": (2, 4, 6, 7)})


def sizes(in_channels=4, out_channels=6, kernel_size=3, **more):
    return {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size, **more}


def fixed():
    conv2d = {"type": "Conv2d"}
    yield make("no_config", cfg=None, kwargs=sizes())
    yield make("no_config_all", cfg=None, kwargs=sizes(stride=2, padding=1, dilation=2, groups=2, bias=False), seed=3)
    yield make("conv_alias", cfg={"type": "Conv"}, kwargs=sizes(kernel_size=1), train=False, seed=1)
    yield make("conv1d", cfg={"type": "Conv1d"}, kwargs=sizes(padding=2, dilation=2), inputs={"x": (2, 4, 9)})
    yield make("conv3d", cfg={"type": "Conv3d"}, kwargs=sizes(kernel_size=[1, 2, 3]), inputs={"x": (1, 4, 3, 4, 5)})
    yield make("lists", cfg=conv2d, kwargs=sizes(kernel_size=[3, 2], stride=[1, 2], padding=[2, 1], dilation=[2, 1]))
    yield make("groups", cfg=conv2d, kwargs=sizes(out_channels=8, groups=4), seed=42)
    yield make("depthwise", cfg={"type": "Conv2d", "groups": 4}, kwargs=sizes(out_channels=4, padding=1))
    yield make("same", cfg=conv2d, kwargs=sizes(padding="same", dilation=2))
    yield make("same_even_kernel", cfg=conv2d, kwargs=sizes(kernel_size=[2, 4], padding="same"))
    yield make(
        "same_reflect",
        cfg={"type": "Conv2d", "padding": "same", "padding_mode": "reflect"},
        kwargs=sizes(kernel_size=4),
    )
    yield make("valid", cfg=conv2d, kwargs=sizes(padding="valid", stride=2))
    yield make("valid_circular", cfg=conv2d, kwargs=sizes(padding="valid", padding_mode="circular"))
    for mode in ["zeros", "reflect", "replicate", "circular"]:
        yield make(f"padding_mode_{mode}", cfg={"type": "Conv2d", "padding_mode": mode}, kwargs=sizes(padding=[1, 2]))
    yield make(
        "conv1d_circular",
        cfg={"type": "Conv1d", "padding_mode": "circular"},
        kwargs=sizes(padding=2),
        inputs={"x": (2, 4, 5)},
    )
    yield make(
        "conv3d_replicate",
        cfg={"type": "Conv3d", "padding_mode": "replicate"},
        kwargs=sizes(padding=1),
        inputs={"x": (1, 4, 2, 3, 2)},
    )
    yield make("all_in_config", cfg={"type": "Conv2d", **sizes(stride=2, bias=True)})
    yield make("given", cfg=conv2d, kwargs=sizes(padding=1), given=True)
    yield make("float64_given", cfg=conv2d, kwargs=sizes(), given=True, dtype=torch.float64)
    yield make("one_picture", cfg=conv2d, kwargs=sizes(), inputs={"x": (4, 5, 5)})
    yield make("conv1d_one_row", cfg={"type": "Conv1d"}, kwargs=sizes(), inputs={"x": (4, 5)})
    yield make("lists_of_one", cfg=conv2d, kwargs=sizes(stride=[2], padding=[1], dilation=[1]))
    yield make("bias_null", cfg=conv2d, kwargs=sizes(bias=None))
    yield make("empty_batch", cfg=conv2d, kwargs=sizes(padding=1), inputs={"x": (0, 4, 6, 7)})
    yield make("digest", cfg=conv2d, kwargs=sizes(16, 32), digest=True, inputs={}, seed=2024)
    yield make("large_seed", cfg=conv2d, kwargs=sizes(), inputs={}, seed=2**40 + 5)
    yield from refused()


def refused():
    conv2d = {"type": "Conv2d"}
    build = partial(make, inputs={})
    yield build("error_no_dict", cfg="Conv2d", kwargs=sizes(), error=[])
    yield build("error_list", cfg=["Conv2d"], kwargs=sizes(), error=[])
    yield build("error_no_type", cfg={"kernel_size": 3}, kwargs={"in_channels": 4, "out_channels": 6}, error=["type"])
    yield build("error_unknown_type", cfg={"type": "Conv4d"}, kwargs=sizes(), error=["Conv4d"])
    yield build("error_unknown_key", cfg={"type": "Conv2d", "strides": 2}, kwargs=sizes(), error=["strides"])
    yield build("error_unknown_argument", cfg=None, kwargs=sizes(kernel=2), error=["kernel"])
    yield build("error_twice", cfg={"type": "Conv2d", "stride": 2}, kwargs=sizes(stride=1), error=["stride"])
    yield build("error_missing", cfg=conv2d, kwargs={"in_channels": 4, "kernel_size": 3}, error=["out_channels"])
    yield build("error_groups_in", cfg=conv2d, kwargs=sizes(groups=3), error=["in_channels"])
    yield build("error_groups_out", cfg=conv2d, kwargs=sizes(out_channels=5, groups=2), error=["out_channels"])
    yield build("error_groups_zero", cfg=conv2d, kwargs=sizes(groups=0), error=["groups"])
    yield build("error_padding_string", cfg=conv2d, kwargs=sizes(padding="full"), error=["full"])
    yield build("error_same_stride", cfg=conv2d, kwargs=sizes(padding="same", stride=2), error=["same"])
    yield build("error_padding_mode", cfg={"type": "Conv2d", "padding_mode": "zero"}, kwargs=sizes(), error=["zero"])
    yield build("error_kernel_type", cfg=conv2d, kwargs=sizes(kernel_size="3"), error=[])
    yield make("error_rank", cfg=conv2d, kwargs=sizes(), inputs={"x": (4, 6)}, error=[])
    yield make("error_rank_conv1d", cfg={"type": "Conv1d"}, kwargs=sizes(), error=[])
    yield make("error_channels", cfg=conv2d, kwargs=sizes(), inputs={"x": (2, 5, 6, 7)}, error=["5"])
    yield make("error_kernel_too_large", cfg=conv2d, kwargs=sizes(kernel_size=9), error=[])
    yield make("error_stride_zero", cfg=conv2d, kwargs=sizes(stride=0), error=[])
    yield make("error_padding_negative", cfg=conv2d, kwargs=sizes(padding=-1), error=[])
    yield make("error_kernel_list", cfg=conv2d, kwargs=sizes(kernel_size=[3, 3, 3]), error=[])
    yield make(
        "error_reflect_too_wide", cfg={"type": "Conv2d", "padding_mode": "reflect"}, kwargs=sizes(padding=7), error=[]
    )


def draw(rng):
    kind = rng.choice([None, "Conv", "Conv1d", "Conv2d", "Conv2d", "Conv3d"])
    dimensions = {"Conv1d": 1, "Conv3d": 3}.get(kind, 2)
    groups = rng.choice([1, 1, 2, 3])
    options = sizes(groups * rng.randint(1, 3), groups * rng.randint(1, 3), per_dimension(rng, dimensions, [1, 2, 3]))
    if groups > 1 or rng.random() < 0.2:
        options["groups"] = groups
    maybe(rng, options, "dilation", [per_dimension(rng, dimensions, [1, 2])])
    padding = rng.choice(["none", "numbers", "numbers", "same", "valid"])
    if padding == "numbers":
        options["padding"] = per_dimension(rng, dimensions, [0, 1, 2])
    elif padding != "none":
        options["padding"] = padding
    if padding != "same":
        maybe(rng, options, "stride", [per_dimension(rng, dimensions, [1, 2, 3])])
    maybe(rng, options, "bias", [True, False])
    maybe(rng, options, "padding_mode", ["zeros", "reflect", "replicate", "circular"])
    cfg, kwargs = None, options
    if kind is not None:
        cfg, kwargs = split(rng, options, options)
        cfg = {"type": kind, **cfg}
    shape = tuple(rng.randint(3, 6) + (dimensions < 3) * 2 for _ in range(dimensions))
    batch = rng.choice([(), (0,), (1,), (2,), (2,), (3,)])
    given = rng.random() < 0.3
    return Case(
        "",
        "conv",
        cfg,
        kwargs,
        inputs={"x": (*batch, options["in_channels"], *shape)},
        seed=rng.randrange(10**6),
        given=given,
        dtype=torch.float64 if given and rng.random() < 0.3 else torch.float32,
        train=rng.random() < 0.6,
        backward=rng.random() < 0.8,
        digest=not given and rng.random() < 0.1,
    )
