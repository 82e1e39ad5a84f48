"""`ConvModule`: convolution, normalization and activation in one, with every argument."""

from functools import partial
from itertools import permutations

import torch

from case import Case
from groups.options import maybe, per_dimension

SHAPE = (2, 4, 5, 4)
BN = {"type": "BN"}


def make(name, shape=SHAPE, kernel_size=3, out_channels=6, more=None, **options):
    """A ConvModule for 4 channels; `options` are the module's, `more` the case's."""
    cfg = {"type": "ConvModule", "in_channels": 4, "out_channels": out_channels, "kernel_size": kernel_size, **options}
    return Case(name, "model", cfg, inputs={"x": shape} if shape else {}, **(more or {}))


def fixed():
    yield make("default", more={"seed": 1})
    yield make("default_eval", more={"train": False})
    yield make("bn_train", norm_cfg=BN)
    yield make("bn_eval_given", norm_cfg=BN, more={"train": False, "given": True})
    yield make("sizes", kernel_size=[3, 2], stride=[2, 1], padding=[1, 2], dilation=[1, 2], groups=2)
    yield from parts()
    yield from orders()
    yield from padding_modes()
    yield from spectral()
    yield from efficient()
    yield from flags()
    yield from refused()


def parts():
    yield make("conv1d_bn1d", (2, 4, 7), conv_cfg={"type": "Conv1d"}, norm_cfg={"type": "BN1d"})
    yield make("conv3d_bn3d", (2, 4, 3, 3, 4), conv_cfg={"type": "Conv3d"}, norm_cfg={"type": "BN3d"}, padding=1)
    yield make("conv_cfg_alias", conv_cfg={"type": "Conv"}, norm_cfg={"type": "SyncBN", "momentum": 0.3})
    yield make("gn", norm_cfg={"type": "GN", "num_groups": 3}, act_cfg={"type": "ELU", "alpha": 0.5})
    yield make("in_affine", norm_cfg={"type": "IN", "affine": True}, act_cfg={"type": "Tanh"})
    yield make("in_plain", norm_cfg={"type": "IN"}, act_cfg={"type": "GELU"})
    yield make("ln", (2, 4, 3, 6), kernel_size=1, norm_cfg={"type": "LN"})
    yield make("bn_no_affine", norm_cfg={"type": "BN", "affine": False})
    yield make("bn_frozen", norm_cfg={"type": "BN", "requires_grad": False})
    yield make("no_activation", act_cfg=None)
    yield make("leaky_relu", act_cfg={"type": "LeakyReLU"}, more={"seed": 5})
    yield make("leaky_relu_slope", act_cfg={"type": "LeakyReLU", "negative_slope": 0.3}, norm_cfg=BN)
    yield make("prelu", act_cfg={"type": "PReLU", "num_parameters": 6}, norm_cfg=BN)
    yield make("rrelu", act_cfg={"type": "RReLU"}, more={"forward_seed": 8})
    yield make("relu6_not_inplace", act_cfg={"type": "ReLU6"}, inplace=False)
    yield make("sigmoid", act_cfg={"type": "Sigmoid"})
    yield make("act_inplace_wins", act_cfg={"type": "ReLU", "inplace": False}, inplace=True)
    for bias in [True, False, "auto"]:
        yield make(f"bias_{str(bias).lower()}", bias=bias)
        yield make(f"bias_{str(bias).lower()}_norm", bias=bias, norm_cfg=BN)
    yield make("float64_given", norm_cfg=BN, more={"given": True, "dtype": torch.float64})
    yield make("init_weights", norm_cfg=BN, more={"init_weights": True, "seed": 3})
    yield make("init_weights_leaky", act_cfg={"type": "LeakyReLU", "negative_slope": 0.2}, more={"init_weights": True})
    yield make("digest", None, 5, 64, norm_cfg=BN, more={"digest": True, "seed": 99})
    yield make("empty_batch", (0, 4, 5, 4), norm_cfg={"type": "BN"}, more={"train": False})


def orders():
    for order in permutations(["conv", "norm", "act"]):
        name = "_".join(order)
        yield make(f"order_{name}", norm_cfg={"type": "GN", "num_groups": 2}, order=list(order))
        yield make(f"order_{name}_bn", norm_cfg=BN, order=list(order), bias=True, more={"train": False, "given": True})
    yield make("order_act_first_no_norm", order=["act", "conv", "norm"])


def padding_modes():
    for mode in ["zeros", "reflect", "replicate", "circular", "zero"]:
        yield make(f"padding_{mode}", padding=1, padding_mode=mode, norm_cfg=BN)
    yield make("padding_reflect_four", padding=[1, 2, 0, 1], padding_mode="reflect")
    yield make("padding_zero_two", padding=[1, 2], padding_mode="zero")
    yield make("padding_circular_in_conv_cfg", padding=1, conv_cfg={"type": "Conv2d", "padding_mode": "circular"})
    yield make("padding_same", padding="same")


def spectral():
    yield make("spectral", with_spectral_norm=True, more={"seed": 11})
    yield make("spectral_eval", with_spectral_norm=True, norm_cfg=BN, more={"train": False, "seed": 12})
    yield make("spectral_given", with_spectral_norm=True, more={"given": True})
    yield make("spectral_init", with_spectral_norm=True, bias=True, more={"init_weights": True})
    yield make("spectral_groups_1d", (2, 4, 7), conv_cfg={"type": "Conv1d"}, groups=2, with_spectral_norm=True)


def efficient():
    for name, options in [
        ("plain", {}),
        ("bias", {"bias": True}),
        ("no_affine", {"norm_cfg": {"type": "BN", "affine": False}}),
        ("no_tracking", {"norm_cfg": {"type": "BN", "track_running_stats": False}}),
        ("gn", {"norm_cfg": {"type": "GN", "num_groups": 2}}),
        ("norm_first", {"order": ["norm", "conv", "act"]}),
        ("circular", {"conv_cfg": {"type": "Conv2d", "padding_mode": "circular"}, "padding": 1}),
        ("reflect", {"padding_mode": "reflect", "padding": 1}),
        ("sync", {"norm_cfg": {"type": "SyncBN", "eps": 0.01}}),
        ("spectral", {"with_spectral_norm": True}),
    ]:
        options = {"norm_cfg": BN, "efficient_conv_bn_eval": True, **options}
        yield make(f"efficient_{name}", **options, more={"train": False, "given": True})
    yield make("efficient_train", norm_cfg=BN, efficient_conv_bn_eval=True)
    yield make("efficient_no_norm", efficient_conv_bn_eval=True, more={"train": False})


def flags():
    for activate in [True, False]:
        for norm in [True, False]:
            name = f"flags{'' if activate else '_no'}_activate{'' if norm else '_no'}_norm"
            yield make(name, norm_cfg=BN, more={"forward_kwargs": {"activate": activate, "norm": norm}})
    skip = {"forward_kwargs": {"norm": False}, "train": False, "given": True}
    yield make("flags_efficient_no_norm", norm_cfg=BN, efficient_conv_bn_eval=True, more=skip)
    yield make("flags_order", norm_cfg=BN, order=["act", "conv", "norm"], more={"forward_kwargs": {"activate": False}})


def refused():
    build = partial(make, shape=None)
    no_kernel = {"type": "ConvModule", "in_channels": 4, "out_channels": 6}
    yield Case("error_missing", "model", no_kernel, error=["kernel_size"])
    yield build("error_unknown_key", norm=BN, more={"error": ["norm"]})
    yield build("error_conv_cfg", conv_cfg="Conv2d", more={"error": []})
    yield build("error_norm_cfg", norm_cfg="BN", more={"error": []})
    yield build("error_act_cfg", act_cfg="ReLU", more={"error": []})
    yield build("error_conv_type", conv_cfg={"type": "Conv9d"}, more={"error": ["Conv9d"]})
    yield build("error_norm_type", norm_cfg={"type": "BNNN"}, more={"error": ["BNNN"]})
    yield build("error_act_type", act_cfg={"type": "ReLUX"}, more={"error": ["ReLUX"]})
    yield build("error_norm_no_type", norm_cfg={"eps": 1e-5}, more={"error": ["type"]})
    yield build("error_act_no_type", act_cfg={"inplace": True}, more={"error": ["type"]})
    yield build("error_conv_cfg_repeats", conv_cfg={"type": "Conv2d", "stride": 2}, more={"error": ["stride"]})
    yield build("error_conv_cfg_key", conv_cfg={"type": "Conv2d", "strides": 2}, more={"error": ["strides"]})
    yield build("error_num_groups", norm_cfg={"type": "GN"}, more={"error": ["num_groups"]})
    yield build("error_num_groups_divides", norm_cfg={"type": "GN", "num_groups": 4}, more={"error": ["num_groups"]})
    yield build("error_tanh_inplace", act_cfg={"type": "Tanh", "inplace": True}, more={"error": ["inplace"]})
    yield build("error_groups", groups=3, more={"error": ["in_channels"]})
    yield build("error_padding_mode", padding_mode="mirror", more={"error": ["mirror"]})
    yield build("error_order_two", order=["conv", "norm"], more={"error": ["order"]})
    yield build("error_order_repeat", order=["conv", "conv", "act"], more={"error": ["order"]})
    yield build("error_order_name", order=["conv", "norm", "relu"], more={"error": ["order"]})
    yield build("error_order_empty", order=[], more={"error": ["order"]})
    yield build("error_reflect_two", shape=SHAPE, padding=[1, 1], padding_mode="reflect", more={"error": []})
    yield build("error_channels", shape=(2, 5, 6, 6), more={"error": ["5"]})
    yield build("error_rank", shape=(2, 4, 6, 6, 6), more={"error": []})
    yield build("error_one_value", shape=(1, 4, 3, 3), norm_cfg=BN, more={"error": []})
    yield build("error_forward_key", shape=SHAPE, more={"forward_kwargs": {"active": False}, "error": ["active"]})


def norm_config(rng, dimensions):
    kind = rng.choice(["BN", "BN", "SyncBN", "GN", "IN"])
    cfg = {"type": kind}
    if kind in {"BN", "IN"} and (dimensions != 2 or rng.random() < 0.4):
        cfg["type"] = f"{kind}{dimensions}d"
    if kind == "GN":
        cfg["num_groups"] = rng.choice([1, 2])
    else:
        maybe(rng, cfg, "momentum", [None, 0.1, 0.5], 0.3)
        maybe(rng, cfg, "track_running_stats", [True, False], 0.3)
    maybe(rng, cfg, "affine", [True, False], 0.3)
    maybe(rng, cfg, "eps", [1e-3, 0.1], 0.3)
    maybe(rng, cfg, "requires_grad", [True, False], 0.2)
    return cfg


def act_config(rng, channels):
    plain = ["ReLU", "LeakyReLU", "PReLU", "RReLU", "ReLU6", "ELU", "Sigmoid", "Tanh", "GELU"]
    kind = rng.choice([*plain, "SiLU", "Swish", "HSwish", "HSigmoid"])
    cfg = {"type": kind}
    if kind == "GELU":
        maybe(rng, cfg, "approximate", ["none", "tanh"])
    elif kind == "ELU":
        maybe(rng, cfg, "alpha", [0.5, 2])
    if kind == "LeakyReLU":
        maybe(rng, cfg, "negative_slope", [0.2, 0, 1], 0.6)
    elif kind == "PReLU":
        maybe(rng, cfg, "num_parameters", [channels], 0.6)
        maybe(rng, cfg, "init", [0.1, 0.9], 0.4)
    if kind in {"ReLU", "LeakyReLU", "RReLU", "ReLU6", "ELU", "SiLU", "HSwish"}:
        maybe(rng, cfg, "inplace", [True, False], 0.3)
    return cfg


def draw(rng):
    dimensions = rng.choice([1, 2, 2, 2, 3])
    groups = rng.choice([1, 1, 2])
    channels, out_channels = 2 * rng.randint(1, 3), 2 * rng.randint(1, 3)
    cfg = {
        "type": "ConvModule",
        "in_channels": channels,
        "out_channels": out_channels,
        "kernel_size": per_dimension(rng, dimensions, [1, 2, 3]),
    }
    maybe(rng, cfg, "stride", [per_dimension(rng, dimensions, [1, 2, 3])])
    maybe(rng, cfg, "dilation", [per_dimension(rng, dimensions, [1, 2])], 0.3)
    maybe(rng, cfg, "groups", [groups], 0.5)
    maybe(rng, cfg, "bias", ["auto", True, False])
    maybe(rng, cfg, "inplace", [True, False])
    maybe(rng, cfg, "with_spectral_norm", [True, False], 0.3)
    maybe(rng, cfg, "efficient_conv_bn_eval", [True, False], 0.5)
    if dimensions != 2 or rng.random() < 0.3:
        cfg["conv_cfg"] = {"type": f"Conv{dimensions}d"}
        maybe(rng, cfg["conv_cfg"], "padding_mode", ["zeros", "reflect", "replicate", "circular"], 0.3)
    elif rng.random() < 0.3:
        cfg["conv_cfg"] = {"type": rng.choice(["ConvWS", "ConvAWS", "Conv2dAdaptivePadding", "deconv", "Conv"])}
    if rng.random() < 0.6:
        cfg["padding"] = per_dimension(rng, dimensions, [0, 1, 2])
        modes = (
            ["zeros", "circular"]
            if dimensions != 2 or isinstance(cfg["padding"], list)
            else ["zeros", "reflect", "replicate", "circular", "zero"]
        )
        maybe(rng, cfg, "padding_mode", modes, 0.6)
    order = ["conv", "norm", "act"]
    rng.shuffle(order)
    maybe(rng, cfg, "order", [order], 0.5)
    if rng.random() < 0.7:
        cfg["norm_cfg"] = norm_config(rng, dimensions)
    if rng.random() < 0.6:
        place = cfg.get("order", ["conv", "act"])
        cfg["act_cfg"] = act_config(rng, out_channels if place.index("act") > place.index("conv") else channels)
    elif rng.random() < 0.3:
        cfg["act_cfg"] = None
    if cfg.get("conv_cfg", {}).get("type") == "deconv":
        cfg.pop("efficient_conv_bn_eval", None)  # the reference fails; here such a module runs without it
    flags = {}
    maybe(rng, flags, "activate", [True, False], 0.2)
    maybe(rng, flags, "norm", [True, False], 0.2)
    given = rng.random() < 0.5
    batch = rng.choice([(1,), (2,), (3,), (2,), (0,), ()])
    pixels = [1, 2, 3, 5] if rng.random() < 0.2 else [5, 6, 7]
    random_layer = (cfg.get("act_cfg") or {}).get("type") == "RReLU"
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": (*batch, channels, *(rng.choice(pixels) for _ in range(dimensions)))},
        seed=rng.randrange(10**6),
        given=given,
        train=rng.random() < 0.55,
        backward=rng.random() < 0.8,
        init_weights=rng.random() < 0.2,
        forward_kwargs=flags,
        digest=not given and rng.random() < 0.1,
        forward_seed=rng.randrange(1000) if random_layer or rng.random() < 0.1 else None,
        dtype=torch.float64 if given and rng.random() < 0.2 else torch.float32,
    )
