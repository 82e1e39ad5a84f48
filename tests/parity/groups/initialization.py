"""`init_cfg`: every rule on a linear head, rules for layers of a MobileNetV2, overrides, and bad rules."""

from dataclasses import replace

from case import Case
from groups.options import maybe

RULES = {
    "Constant": {"val": 0.3},
    "Xavier": {"gain": 1.5},
    "Normal": {"mean": 0.1, "std": 0.2},
    "TruncNormal": {"std": 0.5, "a": -1.0, "b": 0.5},
    "Uniform": {"a": -0.5, "b": 1.0},
    "Kaiming": {"a": 0.1, "nonlinearity": "leaky_relu"},
    "Caffe2Xavier": {},
}


def head(name, init_cfg, **more):
    cfg = {"type": "LinearClsHead", "num_classes": 4, "in_channels": 6, "init_cfg": init_cfg}
    return Case(name, "model", cfg, init_weights=True, **more)


def backbone(name, init_cfg, **more):
    cfg = {"type": "MobileNetV2", "widen_factor": 0.1, "init_cfg": init_cfg}
    return Case(name, "model", cfg, init_weights=True, digest="error" not in more, **more)


def fixed():
    for kind, options in RULES.items():
        yield head(
            f"{kind.lower()}_default", {"type": kind, "layer": "Linear", **({"val": 1} if kind == "Constant" else {})}
        )
        yield head(f"{kind.lower()}_options", {"type": kind, "layer": ["Linear"], "bias": 0.25, **options}, seed=5)
    yield head("xavier_uniform", {"type": "Xavier", "layer": "Linear", "distribution": "uniform"})
    yield head("kaiming_uniform", {"type": "Kaiming", "layer": "Linear", "distribution": "uniform", "mode": "fan_in"})
    yield head("bias_prob", {"type": "Normal", "layer": "Linear", "bias_prob": 0.01})
    yield head("none", None, seed=3)
    yield head("no_layer", {"type": "Normal", "std": 5.0})
    yield head("other_layer", {"type": "Normal", "layer": "Conv2d", "std": 5.0})
    yield head("base_class", {"type": "Constant", "layer": "Module", "val": 2.0})
    yield head(
        "override",
        {"type": "Constant", "val": 1, "override": {"name": "fc", "type": "Normal", "std": 0.5, "bias": 2.0}},
    )
    yield head(
        "override_name_only", {"type": "Constant", "layer": "Conv2d", "val": 7, "bias": 1, "override": {"name": "fc"}}
    )
    yield head(
        "rules_in_order",
        [{"type": "Constant", "layer": "Linear", "val": 1, "bias": 3}, {"type": "Uniform", "layer": "Linear"}],
    )
    yield backbone(
        "backbone_rules",
        [
            {"type": "Normal", "layer": ["Conv2d"], "std": 0.1},
            {"type": "Constant", "layer": "BatchNorm2d", "val": 0.5, "bias": 0.1},
        ],
    )
    yield backbone(
        "backbone_override",
        {"type": "Xavier", "layer": "Conv2d", "override": {"name": "layer1", "type": "Constant", "val": 0.1}},
    )
    network = {"type": "FFN", "embed_dims": 4, "feedforward_channels": 6}
    for layer in ["Module", "Linear"]:
        init_cfg = {"type": "Uniform", "layer": layer}
        yield Case(f"base_class_{layer.lower()}_of_ffn", "model", network | {"init_cfg": init_cfg}, init_weights=True)
    yield from refused()


def refused():
    yield head("error_type", {"type": "Kaimin", "layer": "Linear"}, error=["Kaimin"])
    yield head("error_key", {"type": "Normal", "layer": "Linear", "stddev": 0.1}, error=["stddev"])
    yield head("error_val_missing", {"type": "Constant", "layer": "Linear"}, error=["val"])
    yield head("error_override_name", {"type": "Constant", "val": 1, "override": {"type": "Normal"}}, error=["name"])
    yield head("error_override_unknown", {"type": "Constant", "val": 1, "override": {"name": "fd"}}, error=["fd"])
    yield head("error_layer", {"type": "Normal", "layer": 3}, error=["layer"])
    yield head("error_no_rule", "Normal", error=[])
    yield head("error_distribution", {"type": "Xavier", "layer": "Linear", "distribution": "gaussian"}, error=[])
    yield head("error_bias_prob", {"type": "Normal", "layer": "Linear", "bias_prob": 1}, error=["bias_prob"])


def rule(rng, layers):
    kind = rng.choice(list(RULES))
    cfg = {"type": kind, "layer": rng.choice(layers)}
    for key, value in RULES[kind].items():
        if key == "val" or rng.random() < 0.5:
            cfg[key] = value
    if kind in {"Xavier", "Kaiming"}:
        maybe(rng, cfg, "distribution", ["uniform", "normal"])
    if kind == "Kaiming":
        maybe(rng, cfg, "mode", ["fan_in", "fan_out"])
        maybe(rng, cfg, "nonlinearity", ["relu", "leaky_relu", "linear", "tanh", "sigmoid", "selu"], 0.3)
    maybe(rng, cfg, "bias", [0, 0.5, -1.0], 0.3)
    if kind != "Caffe2Xavier":
        maybe(rng, cfg, "bias_prob", [0.01, 0.3], 0.15)
    return cfg


def rules(rng, layers, names):
    """One to three rules, sometimes with overrides of children by name."""
    drawn = [rule(rng, layers) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.4:
        overrides = []
        for name in rng.sample(names, min(len(names), rng.choice([1, 1, 2]))):
            override = {"name": name}
            if rng.random() < 0.7:
                override |= {key: value for key, value in rule(rng, layers).items() if key != "layer"}
            overrides.append(override)
        drawn[-1]["override"] = overrides if len(overrides) > 1 or rng.random() < 0.5 else overrides[0]
        if rng.random() < 0.3:
            del drawn[-1]["layer"]
    return drawn if len(drawn) > 1 or rng.random() < 0.3 else drawn[0]


def brick(rng):
    """A transformer brick whose parts may have rules of their own."""
    classes = ["Linear", "LayerNorm", "Module", "BaseModule", "MultiheadAttention", "NonDynamicallyQuantizableLinear"]
    layers = [*classes, "Sequential", "_NormBase", "LayerScale", ["Linear", "LayerNorm"], ["Conv2d", "Linear"], "_ConvNd"]
    attention = {"type": "MultiheadAttention", "embed_dims": 4, "num_heads": 2}
    network = {"type": "FFN", "embed_dims": 4, "feedforward_channels": 6, "layer_scale_init_value": rng.choice([0.0, 0.5])}
    maybe(rng, attention, "init_cfg", [rules(rng, layers, ["attn"])])
    maybe(rng, network, "init_cfg", [rules(rng, layers, ["layers"])])
    order = ["self_attn", "norm", "ffn", "norm"]
    layer = {"type": "BaseTransformerLayer", "attn_cfgs": attention, "ffn_cfgs": network, "operation_order": order}
    maybe(rng, layer, "init_cfg", [rules(rng, layers, ["attentions", "ffns", "norms"])], 0.6)
    sequence = {"type": "TransformerLayerSequence", "transformerlayers": layer, "num_layers": 2}
    maybe(rng, sequence, "init_cfg", [rules(rng, layers, ["layers"])], 0.8)
    embed = {"type": "PatchEmbed", "in_channels": 3, "embed_dims": 4, "kernel_size": 2, "norm_cfg": {"type": "LN"}}
    embed["conv_type"] = rng.choice(["Conv2d", "ConvWS"])
    embed["init_cfg"] = rules(rng, [*layers, "Conv2d", "ConvWS2d"], ["projection", "norm"])
    merging = {"type": "PatchMerging", "in_channels": 2, "out_channels": 3}
    merging["init_cfg"] = rules(rng, layers, ["norm", "reduction"])
    cfg = rng.choice([attention, network, layer, sequence, sequence, embed, merging])
    return Case("", "model", cfg, init_weights=True)


def draw(rng):
    seed = rng.randrange(10**6)
    choice = rng.random()
    if choice < 0.5:
        return replace(brick(rng), seed=seed)
    if choice < 0.75:
        layers = ["Linear", ["Linear"], ["Conv2d", "Linear"], "Conv2d", "Module", ["Module", "Linear"]]
        return head("", rules(rng, layers, ["fc"]), seed=seed)
    layers = ["Conv2d", ["Conv2d", "BatchNorm2d"], "_BatchNorm", ["BatchNorm2d"], "ConvModule", "_ConvNd", "_NormBase"]
    return backbone("", rules(rng, layers, ["conv1", "layer1", "conv2", "layer7"]), seed=seed)
