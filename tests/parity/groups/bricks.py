"""Bundles, plugins and wrappers: everything of `mmcv.cnn` beside the layers of the six builders and ConvModule."""

from functools import partial

from case import Case
from groups.conv_module import act_config, norm_config
from groups.options import maybe, per_dimension

image = partial(Case, inputs={"x": (2, 4, 5, 6)})
conv = partial(image, builder="conv")
activation = partial(image, builder="activation")
plugin = partial(image, builder="plugin")
model = partial(image, builder="model")
SIZES = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
MODES = ["gaussian", "embedded_gaussian", "dot_product"]


def fixed():
    yield from convolutions()
    yield from activations()
    yield from plugins()
    yield from bundles()
    yield from wrappers()
    yield from refused()


def convolutions():
    for kind in ["ConvWS", "ConvAWS", "Conv2dAdaptivePadding"]:
        yield conv(f"{kind}_default", cfg={"type": kind}, kwargs=SIZES)
        more = {"stride": 2, "padding": [1, 0], "dilation": [1, 2], "groups": 2, "bias": False}
        yield conv(f"{kind}_all", cfg={"type": kind, **more}, kwargs=SIZES, train=False, given=True)
        norm = {"type": "BN"}
        cfg = {"type": "ConvModule", **SIZES, "conv_cfg": {"type": kind}, "norm_cfg": norm, "efficient_conv_bn_eval": True}
        yield model(f"{kind}_in_conv_module", cfg=cfg, train=False)
    yield conv("ConvWS_eps", cfg={"type": "ConvWS", "eps": 0.1}, kwargs=SIZES)
    volume = {"x": (1, 4, 3, 4, 3)}
    yield conv("deconv3d", cfg={"type": "deconv3d"}, kwargs={**SIZES, "stride": 2, "output_padding": 1}, inputs=volume)


def activations():
    for kind in ["SiLU", "Swish", "HSwish", "HSigmoid", "Clamp", "Clip"]:
        yield activation(kind, cfg={"type": kind})
    yield activation("SiLU_inplace", cfg={"type": "SiLU", "inplace": True})
    yield activation("HSwish_inplace", cfg={"type": "HSwish", "inplace": True})
    yield activation("HSigmoid_all", cfg={"type": "HSigmoid", "bias": 1, "divisor": 2, "min_value": -1, "max_value": 0.7})
    yield activation("Clamp_bounds", cfg={"type": "Clamp", "min": -0.5, "max": 0.3})
    yield activation("Clamp_one_bound", cfg={"type": "Clamp", "min": None})


def plugins():
    for mode in MODES:
        cfg = {"type": "NonLocal2d", "in_channels": 4, "mode": mode, "zeros_init": False, "std": 0.3}
        yield plugin(f"non_local_{mode}", cfg=cfg | ({"reduction": 1} if mode == "gaussian" else {}))
    cfg = {"type": "NonLocal2d", "in_channels": 4, "mode": "concatenation", "zeros_init": False, "std": 0.3}
    yield plugin("non_local_concatenation", cfg=cfg, backward=False)
    cfg = {"type": "NonLocal2d", "in_channels": 4, "sub_sample": True, "norm_cfg": {"type": "BN"}, "use_scale": False}
    yield plugin("non_local_sub_sample", cfg=cfg, kwargs={"postfix": 1}, given=True)
    yield plugin("non_local_init", cfg={"type": "NonLocal2d", "in_channels": 4}, init_weights=True)
    line = {"x": (2, 4, 6)}
    yield model("non_local_1d", cfg={"type": "NonLocal1d", "in_channels": 4, "sub_sample": True}, inputs=line, given=True)
    volume = {"x": (1, 4, 2, 4, 4)}
    yield model("non_local_3d", cfg={"type": "NonLocal3d", "in_channels": 4, "sub_sample": True}, inputs=volume, given=True)
    for pooling in ["att", "avg"]:
        fusions = ["channel_add", "channel_mul"]
        cfg = {"type": "ContextBlock", "in_channels": 4, "ratio": 0.5, "pooling_type": pooling, "fusion_types": fusions}
        yield plugin(f"context_{pooling}", cfg=cfg, kwargs={"postfix": "_a"}, given=True)
    yield plugin("context_default", cfg={"type": "ContextBlock", "in_channels": 4, "ratio": 1.0})
    square = {"x": (2, 4, 4, 4)}
    for bits in range(1, 16):
        kind = format(bits, "04b")
        cfg = {"type": "GeneralizedAttention", "in_channels": 4, "num_heads": 2, "attention_type": kind}
        yield plugin(f"attention_{kind}", cfg=cfg, inputs=square, given=bits % 2 == 0, seed=bits)
    cfg = {"type": "GeneralizedAttention", "in_channels": 8, "num_heads": 2, "q_stride": 2, "position_magnitude": 2}
    yield plugin("attention_strides", cfg=cfg, inputs={"x": (1, 8, 5, 4)}, given=True)
    yield plugin("name_of_a_layer", cfg={"type": "SiLU"}, kwargs={"postfix": 2})


def bundles():
    base = {"type": "DepthwiseSeparableConvModule", "in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1}
    yield model("separable", cfg=base)
    norms = {"norm_cfg": {"type": "BN"}, "pw_norm_cfg": {"type": "GN", "num_groups": 2}}
    acts = {"dw_act_cfg": {"type": "LeakyReLU"}, "pw_act_cfg": None}
    yield model("separable_overrides", cfg=base | norms | acts | {"stride": 2})
    yield model("separable_common", cfg=base | {"padding_mode": "reflect", "with_spectral_norm": True, "bias": True})
    yield model("separable_no_norm_for_one", cfg=base | {"norm_cfg": {"type": "BN"}, "dw_norm_cfg": None}, train=False)


def wrappers():
    yield model("scale", cfg={"type": "Scale", "scale": 2.0})
    yield model("layer_scale_last", cfg={"type": "LayerScale", "dim": 6, "scale": 0.5})
    yield model("layer_scale_first", cfg={"type": "LayerScale", "dim": 4, "data_format": "channels_first", "inplace": True})
    yield model("linear", cfg={"type": "Linear", "in_features": 6, "out_features": 3}, seed=3)
    yield model("linear_no_bias", cfg={"type": "Linear", "in_features": 6, "out_features": 3, "bias": False}, given=True)
    for probability in [0.0, 0.3, 1.0]:
        yield model(f"dropout_{probability}", cfg={"type": "Dropout", "drop_prob": probability}, forward_seed=7)
    yield model("dropout_inplace", cfg={"type": "Dropout", "inplace": True}, forward_seed=8)
    yield model("dropout_evaluation", cfg={"type": "Dropout"}, train=False)
    yield model("drop_path", cfg={"type": "DropPath", "drop_prob": 0.4}, inputs={"x": (8, 3, 2)}, forward_seed=9)
    yield model("drop_path_evaluation", cfg={"type": "DropPath"}, train=False)
    pool = {"type": "MaxPool2d", "kernel_size": [3, 2], "stride": [2, 1], "padding": 1, "dilation": 1, "ceil_mode": True}
    yield model("max_pool", cfg=pool)
    yield model("max_pool_indices", cfg={"type": "MaxPool2d", "kernel_size": 2, "return_indices": True}, backward=False)
    yield model("max_pool_3d", cfg={"type": "MaxPool3d", "kernel_size": 2}, inputs={"x": (1, 2, 4, 5, 4)})


def refused():
    yield conv("error_ws_padding_mode", cfg={"type": "ConvWS", "padding_mode": "reflect"}, kwargs=SIZES, error=["padding_mode"])
    yield conv("error_aws_eps", cfg={"type": "ConvAWS", "eps": 1e-3}, kwargs=SIZES, error=["eps"])
    yield activation("error_divisor", cfg={"type": "HSigmoid", "divisor": 0}, error=[])
    yield activation("error_swish_inplace", cfg={"type": "Swish", "inplace": True}, error=["inplace"])
    yield activation("error_no_bounds", cfg={"type": "Clamp", "min": None, "max": None}, error=[])
    yield plugin("error_mode", cfg={"type": "NonLocal2d", "in_channels": 4, "mode": "cosine"}, error=["cosine"])
    yield plugin("error_ratio", cfg={"type": "ContextBlock", "in_channels": 4}, error=["ratio"])
    context = {"type": "ContextBlock", "in_channels": 4, "ratio": 1.0}
    yield plugin("error_pooling", cfg=context | {"pooling_type": "max"}, error=[])
    yield plugin("error_no_fusion", cfg=context | {"fusion_types": []}, error=[])
    separable = {"type": "DepthwiseSeparableConvModule", **SIZES}
    yield model("error_separable_groups", cfg=separable | {"groups": 2}, error=["groups"])
    yield model("error_dropout", cfg={"type": "Dropout", "drop_prob": 1.5}, error=["1.5"])
    yield model("error_data_format", cfg={"type": "LayerScale", "dim": 4, "data_format": "first"}, error=["data_format"])
    yield model("error_linear_size", cfg={"type": "Linear", "in_features": 5, "out_features": 2}, error=[])


def draw(rng):
    common = {"seed": rng.randrange(10**6), "given": rng.random() < 0.35, "train": rng.random() < 0.6}
    return rng.choice([draw_conv, draw_separable])(rng, common)


def draw_conv(rng, common):
    kind = rng.choice(["ConvWS", "ConvAWS", "Conv2dAdaptivePadding", "deconv", "deconv3d"])
    dimensions = 3 if kind == "deconv3d" else 2
    groups = rng.choice([1, 1, 2])
    options = {"in_channels": groups * rng.randint(1, 3), "out_channels": groups * rng.randint(1, 3), "groups": groups}
    options["kernel_size"] = per_dimension(rng, dimensions, [2, 3])
    maybe(rng, options, "stride", [per_dimension(rng, dimensions, [1, 2, 3])], 0.6)
    maybe(rng, options, "padding", [per_dimension(rng, dimensions, [0, 1])], 0.5)
    maybe(rng, options, "dilation", [per_dimension(rng, dimensions, [1, 2])])
    maybe(rng, options, "bias", [True, False])
    if kind.startswith("deconv"):
        maybe(rng, options, "output_padding", [per_dimension(rng, dimensions, [0, 1])])
    elif kind == "ConvWS":
        maybe(rng, options, "eps", [1e-5, 0.1, 0])
    if dimensions == 2:
        maybe(rng, options, "padding", ["same", "valid"], 0.1)
    shape = (rng.choice([0, 1, 2]), options["in_channels"], *(rng.randint(4, 7) for _ in range(dimensions)))
    return Case("", "conv", {"type": kind}, options, inputs={"x": shape}, **common)


def draw_separable(rng, common):
    channels = 2 * rng.randint(1, 3)
    cfg = {"type": "DepthwiseSeparableConvModule", "in_channels": channels, "out_channels": 2 * rng.randint(1, 3)}
    cfg["kernel_size"] = per_dimension(rng, 2, [1, 3])
    for key in ["norm_cfg", "dw_norm_cfg", "pw_norm_cfg"]:
        maybe(rng, cfg, key, [norm_config(rng, 2), None])
    for key in ["act_cfg", "dw_act_cfg", "pw_act_cfg"]:
        maybe(rng, cfg, key, [act_config(rng, 1), None])
    return Case("", "model", cfg, inputs={"x": (2, channels, 6, 7)}, forward_seed=rng.randrange(100), **common)
