//! Reader and writer of PyTorch's file formats; nothing in a file is ever executed.
