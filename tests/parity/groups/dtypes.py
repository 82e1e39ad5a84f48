"""Every registered layer and brick in bfloat16, half precision and float64, training and backwards."""

import torch

from case import Case

IMAGE = (2, 4, 6, 6)
LINE, VOLUME, TOKENS = (2, 4, 6), (2, 4, 4, 4, 4), (3, 2, 4)
CONV = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1}
ATTENTION = {"type": "MultiheadAttention", "embed_dims": 4, "num_heads": 2}
FEED_FORWARD = {"type": "FFN", "embed_dims": 4, "feedforward_channels": 8}
LAYER = {
    "type": "BaseTransformerLayer",
    "attn_cfgs": ATTENTION,
    "ffn_cfgs": FEED_FORWARD,
    "operation_order": ["self_attn", "norm", "ffn", "norm"],
}
# With tolerances of a few units in the last place, since sums depend on the number of threads.
DTYPES = {"bfloat16": (torch.bfloat16, 1.6e-2, 4e-2), "half": (torch.float16, 4e-3, 4e-2), "float64": (torch.float64, None, None)}


def fixed():
    for name, (builder, cfg, kwargs, shape) in layers():
        for word, (dtype, rtol, atol) in DTYPES.items():
            if (name, word) == ("RReLU", "half"):
                continue  # the reference has none
            if builder == "activation" and name not in {"RReLU", "ELU_alpha"}:
                rtol, atol = 0.0, 0.0  # the same bits
            if (name, word) == ("Tanh", "float64"):
                rtol = 4e-15  # that of Intel's and of AMD's processors
            if (name, word) == ("GELU", "half"):
                rtol = 1e-3  # AVX2 and AVX-512 differ in the last place
            if name in {"Conv3d", "deconv3d"} and word == "bfloat16":
                atol = 0.1  # sums of 108 products, rounded differently with and without AVX512_BF16
            inputs = {"query" if shape == TOKENS else "x": shape}
            more = {"given": True, "forward_seed": 3, "dtype": dtype, "rtol": rtol, "atol": atol}
            backward = not (name == "NonLocal_concatenation")
            yield Case(f"{name}_{word}", builder, cfg, kwargs, inputs=inputs, backward=backward, **more)


def layers():
    """Name, and builder, config, arguments and shape of the input."""
    for kind, shape in [("Conv1d", LINE), ("Conv2d", IMAGE), ("Conv3d", VOLUME), ("deconv", IMAGE), ("deconv3d", VOLUME)]:
        yield kind, ("conv", {"type": kind}, CONV, shape)
    for kind in ["ConvWS", "ConvAWS", "Conv2dAdaptivePadding"]:
        yield kind, ("conv", {"type": kind}, CONV, IMAGE)
    for kind, shape in [("BN1d", LINE), ("BN2d", IMAGE), ("BN3d", VOLUME), ("SyncBN", IMAGE)]:
        yield kind, ("norm", {"type": kind}, {"num_features": 4}, shape)
    for kind, shape in [("IN1d", LINE), ("IN2d", IMAGE), ("IN3d", VOLUME)]:
        options = {"affine": True, "track_running_stats": True}
        yield kind, ("norm", {"type": kind, **options}, {"num_features": 4}, shape)
    yield "GN", ("norm", {"type": "GN", "num_groups": 2}, {"num_features": 4}, IMAGE)
    yield "LN", ("norm", {"type": "LN"}, {"num_features": 6}, IMAGE)
    for kind in ["ReLU", "PReLU", "RReLU", "ReLU6", "Sigmoid", "Tanh", "SiLU", "Swish", "HSwish", "HSigmoid", "GELU", "ELU"]:
        yield kind, ("activation", {"type": kind}, {}, IMAGE)
    for name, cfg in {
        "LeakyReLU": {"negative_slope": 0.3},
        "Clamp": {"min": -0.3, "max": 0.7},
        "Clip": {"min": -0.7, "max": 0.3},
    }.items():
        yield name, ("activation", {"type": name, **cfg}, {}, IMAGE)
    yield "ELU_alpha", ("activation", {"type": "ELU", "alpha": 0.7}, {}, IMAGE)
    yield "HSigmoid_numbers", ("activation", {"type": "HSigmoid", "bias": 0.3, "divisor": 1.7}, {}, IMAGE)
    for kind in ["nearest", "bilinear"]:
        yield kind, ("upsample", {"type": kind, "scale_factor": 1.7}, {}, IMAGE)
    shuffle = {"in_channels": 4, "out_channels": 2, "scale_factor": 2, "upsample_kernel": 3}
    yield "pixel_shuffle", ("upsample", {"type": "pixel_shuffle"}, shuffle, IMAGE)
    for kind in ["zero", "reflect", "replicate"]:
        yield kind, ("padding", {"type": kind, "padding": [1, 2, 0, 1]}, {}, IMAGE)
    yield from bricks()


def bricks():
    for name, cfg, shape in [
        ("MaxPool2d", {"kernel_size": 2}, IMAGE),
        ("MaxPool3d", {"kernel_size": 2}, VOLUME),
        ("Linear", {"in_features": 6, "out_features": 3}, IMAGE),
        ("Dropout", {"drop_prob": 0.3}, IMAGE),
        ("DropPath", {"drop_prob": 0.3}, (8, 3, 2)),
        ("Scale", {"scale": 0.3}, IMAGE),
        ("LayerScale", {"dim": 6}, IMAGE),
        ("NonLocal1d", {"in_channels": 4, "mode": "gaussian", "reduction": 1}, LINE),
        ("NonLocal2d", {"in_channels": 4}, IMAGE),
        ("NonLocal3d", {"in_channels": 4, "mode": "dot_product", "sub_sample": True}, VOLUME),
        ("ContextBlock", {"in_channels": 4, "ratio": 0.5, "fusion_types": ["channel_add", "channel_mul"]}, IMAGE),
        ("GeneralizedAttention", {"in_channels": 4, "num_heads": 2}, IMAGE),
        ("ConvModule", {**CONV, "norm_cfg": {"type": "BN"}}, IMAGE),
        ("DepthwiseSeparableConvModule", {**CONV, "norm_cfg": {"type": "GN", "num_groups": 2}}, IMAGE),
        ("AdaptivePadding", {"kernel_size": 4, "stride": 4}, IMAGE),
        ("PatchEmbed", {"in_channels": 4, "embed_dims": 4, "kernel_size": 2, "stride": 2, "norm_cfg": {"type": "LN"}}, IMAGE),
        ("FFN", {key: value for key, value in FEED_FORWARD.items() if key != "type"}, TOKENS),
    ]:
        yield name, ("model", {"type": name, **cfg}, {}, shape)
    concatenation = {"type": "NonLocal2d", "in_channels": 4, "mode": "concatenation"}
    yield "NonLocal_concatenation", ("model", concatenation, {}, IMAGE)
    yield "ConvModule_spectral", ("model", {"type": "ConvModule", **CONV, "with_spectral_norm": True}, {}, IMAGE)
    yield "MultiheadAttention", ("model", ATTENTION, {}, TOKENS)
    yield "BaseTransformerLayer", ("model", LAYER, {}, TOKENS)


def draw(rng):
    return rng.choice(list(fixed()))
