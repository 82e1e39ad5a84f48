"""One module per group: `fixed()` yields the cases chosen by hand, `draw(rng)` makes one random case."""

from groups import (
    activation,
    bricks,
    classifier,
    containers,
    conv,
    conv_module,
    dtypes,
    initialisation,
    mobilenet_v2,
    norm,
    padding,
    plugins,
    transformer,
    upsample,
    vgg,
    wrappers,
)

GROUPS = {
    "conv": conv,
    "norm": norm,
    "activation": activation,
    "upsample": upsample,
    "padding": padding,
    "conv_module": conv_module,
    "bricks": bricks,
    "dtypes": dtypes,
    "plugins": plugins,
    "wrappers": wrappers,
    "transformer": transformer,
    "mobilenet_v2": mobilenet_v2,
    "classifier": classifier,
    "initialisation": initialisation,
    "containers": containers,
    "vgg": vgg,
}
