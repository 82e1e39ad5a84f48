"""The pieces of mmpretrain's classifier: its necks and heads, and `ImageClassifier` around them."""

from case import Case
from groups.options import maybe

NARROW = {"type": "MobileNetV2", "widen_factor": 0.1}
NECK = {"type": "GlobalAveragePooling"}
GEM = {"type": "GeneralizedMeanPooling"}


def head(classes=5, channels=1280, **more):
    return {"type": "LinearClsHead", "num_classes": classes, "in_channels": channels, **more}


def make(name, cfg, shape=None, **more):
    return Case(name, "model", cfg, inputs={"x": shape} if shape else {}, **more)


def classifier(**more):
    return {"type": "ImageClassifier", "backbone": NARROW, "neck": NECK, "head": head(), **more}


def fixed():
    yield make("gap", NECK, (2, 4, 3, 5))
    yield make("gap_1d", {**NECK, "dim": 1}, (2, 4, 3))
    yield make("gap_3d", {**NECK, "dim": 3}, (2, 4, 2, 3, 2), train=False)
    yield make("gap_init", NECK, (1, 4, 1, 1), init_weights=True)
    yield make("gem", GEM, (2, 4, 3, 5))
    yield make("gem_fixed", {**GEM, "p": 1.5, "clamp": True, "eps": 0.1, "p_trainable": False}, (2, 4, 1, 3), train=False)
    yield make("error_gem_p", {**GEM, "p": 0.5}, error=["p", "0.5"])
    yield make("multi_label_head_init", {**head(3, 6), "type": "MultiLabelLinearClsHead"}, init_weights=True, seed=4)
    yield make("head", head(3, 6), seed=4)
    yield make("head_init", head(3, 6), init_weights=True, seed=4)
    seesaw = {"type": "SeesawLoss", "num_classes": 3}
    yield make("head_seesaw", head(3, 6, loss=seesaw), seed=5)
    yield make(
        "head_init_cfg",
        head(3, 6, init_cfg={"type": "Constant", "layer": "Linear", "val": 0.5, "bias": 1.0}),
        init_weights=True,
    )
    yield make(
        "classifier_init",
        classifier(),
        (1, 3, 17, 24),
        train=False,
        digest=True,
        largest=24,
        rtol=1e-4,
        atol=1e-4,
        init_weights=True,
        seed=6,
    )
    yield make(
        "classifier_train", classifier(), (2, 3, 33, 33), digest=True, largest=24, rtol=1e-4, atol=1e-4, backward=False
    )
    yield make("error_gap_empty", NECK, (0, 4, 3, 5), error=[])
    yield make("error_gap_dim", {**NECK, "dim": 4}, error=["4"])
    yield make("error_head_classes", head(0), error=["num_classes"])
    yield make("error_head_missing", {"type": "LinearClsHead", "num_classes": 3}, error=["in_channels"])
    yield make("error_backbone_type", classifier(backbone={"type": "MobileNetV9"}), error=["MobileNetV9"])


def draw(rng):
    if rng.random() < 0.5:
        cfg, dimensions = dict(rng.choice([NECK, GEM])), 2
        if cfg["type"] == GEM["type"]:
            maybe(rng, cfg, "p", [1.0, 2.0, 4.5])
            maybe(rng, cfg, "eps", [1e-3, 0.1])
            maybe(rng, cfg, "p_trainable", [True, False])
        elif rng.random() < 0.7:
            dimensions = cfg["dim"] = rng.choice([1, 2, 3])
        shape = (rng.choice([1, 2, 3]), rng.randint(1, 5), *(rng.randint(1, 5) for _ in range(dimensions)))
    else:
        channels = rng.randint(1, 20)
        # Built only: the reference's head takes a tuple of tensors, which a case cannot hold.
        cfg, shape = head(rng.randint(1, 10), channels), None
        maybe(rng, cfg, "type", ["MultiLabelLinearClsHead"])
        maybe(rng, cfg, "init_cfg", [None, {"type": "Normal", "layer": "Linear", "std": 0.2, "bias": 0.5}], 0.4)
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": shape} if shape else {},
        seed=rng.randrange(10**6),
        train=rng.random() < 0.5,
        init_weights=rng.random() < 0.5 and cfg["type"] != GEM["type"],
        backward=rng.random() < 0.8,
    )
