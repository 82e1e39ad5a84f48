//! Downloads from a misbehaving server on loopback: in this process (`library`) and through the command (`command`).

mod command;
mod library;
mod server;
