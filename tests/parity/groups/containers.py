"""`Sequential`, `ModuleList`, `ModuleDict`: networks of any bricks, nested, with rules of initialization."""

from case import Case

CONV = {"type": "ConvModule", "in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": 1}
NORMED = CONV | {"in_channels": 4, "norm_cfg": {"type": "BN"}}
POOL = {"type": "MaxPool2d", "kernel_size": 2}
SHAPE = {"x": [2, 3, 6, 6]}
KAIMING = {"type": "Kaiming", "layer": "Conv2d"}
ONES = {"type": "Constant", "layer": "BatchNorm2d", "val": 1, "bias": 0.5}


def sequential(name, modules, **more):
    options = {key: more.pop(key) for key in ("init_cfg",) if key in more}
    return Case(name, "model", {"type": "Sequential", "modules": modules, **options}, **more)


def fixed():
    yield sequential("empty", [], inputs=SHAPE)
    yield sequential("one", [CONV], inputs=SHAPE)
    yield sequential("network", [CONV, POOL, NORMED, {"type": "GlobalAveragePooling"}], inputs=SHAPE)
    yield sequential("names", {"stem": CONV, "pool": POOL, "last": NORMED}, inputs=SHAPE)
    yield sequential("nested", [CONV, {"type": "Sequential", "modules": [NORMED, POOL]}], inputs=SHAPE, train=False)
    yield Case("list", "model", [CONV, NORMED], inputs=SHAPE)
    yield sequential("rules", [CONV, NORMED], init_cfg=[KAIMING, ONES], init_weights=True, inputs=SHAPE, seed=3)
    yield sequential(
        "rules_inside",
        [CONV, {"type": "Sequential", "modules": [NORMED], "init_cfg": {"type": "Normal", "layer": "Conv2d"}}],
        init_cfg=KAIMING,
        init_weights=True,
        seed=4,
    )
    yield sequential(
        "override",
        {"stem": CONV, "last": NORMED},
        init_cfg=KAIMING | {"override": {"name": "last", "type": "Constant", "val": 0.1}},
        init_weights=True,
    )
    yield Case("module_list", "model", {"type": "ModuleList", "modules": [CONV, NORMED]})
    yield Case(
        "module_list_rules", "model", {"type": "ModuleList", "modules": [CONV], "init_cfg": KAIMING}, init_weights=True
    )
    yield Case("module_dict", "model", {"type": "ModuleDict", "modules": {"b": CONV, "a": NORMED}})
    yield from refused()


def refused():
    yield sequential("error_modules", 3, error=["modules"])
    yield sequential("error_name_with_dot", {"a.b": CONV}, error=["a.b"])
    yield sequential("error_type", [{"type": "ConvModul"}], error=["ConvModul"])
    yield sequential("error_second", [CONV, CONV | {"in_channel": 3}], error=["in_channel"])
    yield sequential("error_channels", [CONV, CONV], inputs=SHAPE, error=["in_channels", "4"])
    yield sequential("error_key", [CONV], init_cfg={"type": "Kaimin"}, init_weights=True, error=["Kaimin"])
    yield Case("error_list_forward", "model", {"type": "ModuleList", "modules": [CONV]}, inputs=SHAPE, error=[])
    yield Case("error_dict_list", "model", {"type": "ModuleDict", "modules": 3}, error=["modules"])


def part(rng, channels):
    """A brick and the channels that it gives."""
    outputs = rng.choice([2, 3, 4])
    conv = {"type": "ConvModule", "in_channels": channels, "out_channels": outputs, "kernel_size": 3, "padding": 1}
    if rng.random() < 0.5:
        conv["norm_cfg"] = rng.choice([{"type": "BN"}, {"type": "GN", "num_groups": 1}])
    if rng.random() < 0.5:
        conv["act_cfg"] = rng.choice([None, {"type": "LeakyReLU"}, {"type": "GELU"}])
    return rng.choice(
        [
            (conv, outputs),
            (conv, outputs),
            ({"type": "ReLU"}, channels),
            ({"type": "Dropout", "drop_prob": 0.0}, channels),
        ]
    )


def chain(rng, channels, depth):
    modules = []
    for _ in range(rng.choice([0, 1, 2, 3])):
        if depth < 2 and rng.random() < 0.3:
            module, channels = chain(rng, channels, depth + 1)
        else:
            module, channels = part(rng, channels)
        modules.append(module)
    if rng.random() < 0.3:
        modules = {rng.choice(["a", "stem", "x"]) + str(index): module for index, module in enumerate(modules)}
    cfg = {"type": "Sequential", "modules": modules}
    if rng.random() < 0.4:
        rules = [
            KAIMING,
            ONES,
            {"type": "Normal", "layer": "_BatchNorm"},
            {"type": "Xavier", "layer": ["ConvModule", "Conv2d"]},
        ]
        cfg["init_cfg"] = rng.choice([rng.choice(rules), rng.sample(rules, 2)])
    return cfg, channels


def draw(rng):
    cfg, _ = chain(rng, 3, 0)
    inputs = SHAPE if rng.random() < 0.7 else {}
    return Case(
        "",
        "model",
        cfg,
        inputs=inputs,
        seed=rng.randrange(10**6),
        init_weights=rng.random() < 0.5,
        train=rng.random() < 0.5,
    )
