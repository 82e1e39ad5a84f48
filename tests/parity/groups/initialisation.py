"""`init_cfg`: every rule on a linear head, rules for layers of a MobileNetV2, overrides, and bad rules."""

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
    maybe(rng, cfg, "bias", [0, 0.5, -1.0], 0.3)
    if kind != "Caffe2Xavier":
        maybe(rng, cfg, "bias_prob", [0.01, 0.3], 0.15)
    return cfg


def draw(rng):
    seed = rng.randrange(10**6)
    if rng.random() < 0.6:
        layers = ["Linear", ["Linear"], ["Conv2d", "Linear"], "Conv2d", "Module"]
        make, overrides = head, ["fc"]
    else:
        layers = ["Conv2d", ["Conv2d", "BatchNorm2d"], "_BatchNorm", ["BatchNorm2d"], "ConvModule", "_ConvNd"]
        make, overrides = backbone, ["conv1", "layer1", "conv2", "layer7"]
    rules = [rule(rng, layers) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.3:
        override = {"name": rng.choice(overrides)}
        if rng.random() < 0.7:
            override |= {key: value for key, value in rule(rng, layers).items() if key != "layer"}
        rules[-1]["override"] = override if rng.random() < 0.5 else [override]
        if rng.random() < 0.3:
            del rules[-1]["layer"]
    return make("", rules if len(rules) > 1 or rng.random() < 0.3 else rules[0], seed=seed)
