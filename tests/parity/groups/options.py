"""Random options that several groups share."""


def maybe(rng, options, key, values, chance=0.4):
    """Sets `key` to one of `values` in some of the draws."""
    if rng.random() < chance:
        options[key] = rng.choice(values)


def per_dimension(rng, dimensions, values):
    """One number, or a list with one for each dimension."""
    if rng.random() < 0.5:
        return rng.choice(values)
    return [rng.choice(values) for _ in range(dimensions)]


def split(rng, options, movable):
    """Distributes options over the config and the builder's arguments: `(cfg part, kwargs)`."""
    cfg, kwargs = {}, {}
    for key, value in options.items():
        (cfg if key in movable and rng.random() < 0.3 else kwargs)[key] = value
    return cfg, kwargs
