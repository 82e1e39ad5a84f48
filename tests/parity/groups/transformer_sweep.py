"""Random transformer bricks with every option, mask and order of operations."""

import torch

from case import Case
from groups.options import maybe, per_dimension

RULES = [
    {"type": "Xavier", "layer": "Linear", "distribution": "uniform"},
    {"type": "Normal", "layer": ["Linear", "LayerNorm"], "std": 0.2, "bias": 0.1},
    {"type": "TruncNormal", "layer": "Linear", "std": 0.5, "a": -1.0, "b": 1.0},
    [{"type": "Constant", "layer": "LayerNorm", "val": 0.5}, {"type": "Kaiming", "layer": "Linear", "mode": "fan_in"}],
]


def draw(rng):
    common = {"seed": rng.randrange(10**6), "given": rng.random() < 0.4, "train": rng.random() < 0.6}
    common["forward_seed"] = rng.randrange(1000)
    common["init_weights"] = rng.random() < 0.3
    common["backward"] = rng.random() < 0.85
    if common["given"] and rng.random() < 0.2:
        common["dtype"] = torch.float64
    return rng.choice([attention, attention, network, layer, layer, sequence, padding, embed, merging])(rng, common)


def dropout(rng):
    probability = rng.choice([0.0, 0.2, 0.5, 1.0])
    return rng.choice([{"type": "DropPath", "drop_prob": probability}, {"type": "Dropout", "drop_prob": probability}, None])


def attention_config(rng, size, heads):
    cfg = {"type": "MultiheadAttention", "embed_dims": size, "num_heads": heads}
    maybe(rng, cfg, "attn_drop", [0.0, 0.2, 1.0], 0.3)
    maybe(rng, cfg, "proj_drop", [0.0, 0.3], 0.3)
    maybe(rng, cfg, "dropout_layer", [dropout(rng)], 0.4)
    maybe(rng, cfg, "bias", [True, False], 0.3)
    maybe(rng, cfg, "add_bias_kv", [True, False], 0.3)
    maybe(rng, cfg, "add_zero_attn", [True, False], 0.3)
    maybe(rng, cfg, "init_cfg", RULES, 0.3)
    return cfg


def sizes(rng):
    return rng.choice([(4, 2), (6, 3), (8, 2), (5, 1), (6, 6)])


def attention(rng, common):
    size, heads = sizes(rng)
    cfg = attention_config(rng, size, heads)
    key_size, value_size = size, size
    if rng.random() < 0.3:
        key_size, value_size = cfg["kdim"], cfg["vdim"] = rng.choice([size, 3]), rng.choice([size, 2])
    first = rng.random() < 0.4
    if first or rng.random() < 0.3:
        cfg["batch_first"] = first
    samples, length, keys = rng.choice([1, 2, 3, 0]), rng.randint(1, 5), rng.randint(1, 5)
    place = (lambda n, l, e: (n, l, e)) if first else (lambda n, l, e: (l, n, e))
    if not first and rng.random() < 0.1:
        place = lambda n, l, e: (l, e)
    inputs = {
        "query": place(samples, length, size),
        "key": place(samples, keys, key_size),
        "value": place(samples, keys, value_size),
        "identity": place(samples, length, size),
        "query_pos": place(samples, length, size),
        "key_pos": place(samples, keys, key_size),
        "attn_mask": rng.choice([(length, keys), (samples * heads, length, keys)]),
        "key_padding_mask": (samples, keys) if len(place(1, 1, 1)) == 3 else (keys,),
    }
    count = rng.choice([1, 2, 3, 3, 4, 5, 6, 7, 8])
    inputs = dict(list(inputs.items())[:count])
    masks = [name for name in ["attn_mask", "key_padding_mask"] if name in inputs]
    return Case("", "model", cfg, inputs=inputs, masks=tuple(masks) if rng.random() < 0.5 else (), **common)


def network_config(rng, size):
    cfg = {"type": "FFN", "embed_dims": size, "feedforward_channels": rng.choice([8, 3])}
    maybe(rng, cfg, "num_fcs", [2, 3, 4], 0.4)
    acts = [{"type": "GELU"}, {"type": "SiLU"}, {"type": "LeakyReLU", "negative_slope": 0.2}, {"type": "PReLU"}]
    maybe(rng, cfg, "act_cfg", acts, 0.5)
    maybe(rng, cfg, "ffn_drop", [0.0, 0.2], 0.4)
    maybe(rng, cfg, "dropout_layer", [dropout(rng)], 0.4)
    maybe(rng, cfg, "add_identity", [True, False], 0.4)
    maybe(rng, cfg, "layer_scale_init_value", [0.0, 0.5, 1.0, 0], 0.4)
    maybe(rng, cfg, "init_cfg", RULES, 0.3)
    return cfg


def network(rng, common):
    cfg = network_config(rng, 4)
    shape = rng.choice([(4,), (3, 4), (2, 3, 4), (0, 3, 4), (2, 2, 2, 4)])
    inputs = {"x": shape}
    maybe(rng, inputs, "identity", [shape, (1, 4)], 0.3)
    return Case("", "model", cfg, inputs=inputs, **common)


def order(rng):
    operations = [rng.choice(["self_attn", "cross_attn", "norm", "ffn"]) for _ in range(rng.randint(1, 6))]
    return operations if {"self_attn", "cross_attn"} & set(operations) else [*operations, "self_attn"]


def layer_config(rng, size, heads, first):
    operations = order(rng)
    count = sum(operation.endswith("attn") for operation in operations)
    cfg = {"type": "BaseTransformerLayer", "operation_order": operations}
    each = rng.random() < 0.5
    cfg["attn_cfgs"] = [attention_config(rng, size, heads) for _ in range(count)] if each else attention_config(rng, size, heads)
    networks = operations.count("ffn")
    cfg["ffn_cfgs"] = [network_config(rng, size) for _ in range(networks)] if rng.random() < 0.4 else network_config(rng, size)
    maybe(rng, cfg, "norm_cfg", [{"type": "LN"}, {"type": "LN", "eps": 1e-3}, {"type": "LN", "elementwise_affine": False}], 0.4)
    maybe(rng, cfg, "init_cfg", RULES, 0.2)
    if first or rng.random() < 0.2:
        cfg["batch_first"] = first
    return cfg


def layer_inputs(rng, size, first, least=1):
    samples, length, keys = rng.choice([1, 2, 3]), rng.randint(1, 5), rng.randint(1, 5)
    keys = length if rng.random() < 0.5 else keys
    place = (lambda n, l: (n, l, size)) if first else (lambda n, l: (l, n, size))
    inputs = {
        "query": place(samples, length),
        "key": place(samples, keys),
        "value": place(samples, keys),
        "query_pos": place(samples, length),
        "key_pos": place(samples, keys),
        "attn_masks": (length, keys),
        "query_key_padding_mask": (samples, length),
        "key_padding_mask": (samples, keys),
    }
    return dict(list(inputs.items())[: rng.choice([least, 3, 3, 4, 5, 6, 7, 8])])


def layer(rng, common):
    size, heads = sizes(rng)
    first = rng.random() < 0.3
    cfg, inputs = layer_config(rng, size, heads, first), layer_inputs(rng, size, first)
    masks = [name for name in ["query_key_padding_mask", "key_padding_mask"] if name in inputs]
    return Case("", "model", cfg, inputs=inputs, masks=tuple(masks), **common)


def sequence(rng, common):
    size, heads = sizes(rng)
    first = rng.random() < 0.3
    count = rng.choice([1, 2, 3])
    layers = [layer_config(rng, size, heads, first) for _ in range(count)]
    cfg = {"type": "TransformerLayerSequence", "num_layers": count}
    cfg["transformerlayers"] = layers if rng.random() < 0.4 else layers[0]
    maybe(rng, cfg, "init_cfg", RULES, 0.3)
    inputs = layer_inputs(rng, size, first, least=3)
    masks = [name for name in ["query_key_padding_mask", "key_padding_mask"] if name in inputs]
    return Case("", "model", cfg, inputs=inputs, masks=tuple(masks), **common)


def window(rng, cfg, chance=0.7):
    maybe(rng, cfg, "kernel_size", [per_dimension(rng, 2, [1, 2, 3, 4])], chance)
    maybe(rng, cfg, "stride", [per_dimension(rng, 2, [1, 2, 3])], chance)
    maybe(rng, cfg, "dilation", [per_dimension(rng, 2, [1, 2])], 0.4)


def picture(rng, channels):
    batch = rng.choice([(1,), (2,), (0,), ()]) if rng.random() < 0.4 else (2,)
    return (*batch, channels, rng.randint(1, 9), rng.randint(1, 9))


def padding(rng, common):
    cfg = {"type": "AdaptivePadding"}
    window(rng, cfg)
    maybe(rng, cfg, "padding", ["corner", "same"], 0.8)
    return Case("", "model", cfg, inputs={"x": picture(rng, 2)}, **(common | {"init_weights": False, "given": False}))


def embed(rng, common):
    cfg = {"type": "PatchEmbed", "in_channels": 3, "embed_dims": rng.choice([4, 6]), "kernel_size": 4, "stride": 2}
    window(rng, cfg)
    maybe(rng, cfg, "stride", [None], 0.2)
    maybe(rng, cfg, "conv_type", ["Conv2d", "ConvWS", "Conv", "ConvAWS"], 0.3)
    maybe(rng, cfg, "padding", ["corner", "same", 0, 1, [1, 2], [0, 1]], 0.7)
    maybe(rng, cfg, "bias", [True, False], 0.4)
    maybe(rng, cfg, "norm_cfg", [{"type": "LN"}, {"type": "LN", "eps": 0.1}, None], 0.5)
    maybe(rng, cfg, "input_size", [8, [7, 9], [3, 3]], 0.3)
    maybe(rng, cfg, "init_cfg", [{"type": "Normal", "layer": "Conv2d", "std": 0.3}, *RULES], 0.3)
    return Case("", "model", cfg, inputs={"x": picture(rng, 3)}, **common)


def merging(rng, common):
    channels = rng.choice([1, 3])
    cfg = {"type": "PatchMerging", "in_channels": channels, "out_channels": rng.choice([2, 6])}
    window(rng, cfg, 0.5)
    maybe(rng, cfg, "padding", ["corner", "same", 0, 1, [1, 0]], 0.6)
    maybe(rng, cfg, "bias", [True, False], 0.4)
    maybe(rng, cfg, "norm_cfg", [{"type": "LN"}, None], 0.4)
    maybe(rng, cfg, "init_cfg", RULES, 0.3)
    height, width = rng.randint(1, 6), rng.randint(1, 6)
    shape = (rng.choice([1, 2, 0]), height * width, channels)
    return Case("", "model", cfg, inputs={"x": shape}, forward_kwargs={"input_size": [height, width]}, **common)
