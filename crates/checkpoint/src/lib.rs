//! Checkpoints: scheme dispatch, matching a state dict to a module, saving.
