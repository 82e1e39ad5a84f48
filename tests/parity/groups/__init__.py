"""One module per group: `fixed()` yields the cases chosen by hand, `draw(rng)` makes one random case."""

from groups import activation, conv, norm, padding, upsample

GROUPS = {
    "conv": conv,
    "norm": norm,
    "activation": activation,
    "upsample": upsample,
    "padding": padding,
}
