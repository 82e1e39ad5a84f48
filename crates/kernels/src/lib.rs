//! CPU kernels for inference, without libtorch: Winograd convolutions of 3 x 3.
//!
//! The vector instructions are chosen at run time ([`Isa`]); threads are the caller's ([`Workers`]).
//!
//! ```
//! use mmcv_kernels::{Convolution, Finish, Isa, Layout, Problem, Serial, Tile};
//!
//! let layout = Layout::ChannelsLast;
//! let problem = Problem {
//!     batch: 1, in_channels: 16, out_channels: 16, height: 8, width: 8, padding: 1, dilation: 1,
//!     source: layout, result: layout,
//! };
//! let convolution = Convolution::new(problem, Tile::F4, Isa::best(), 1)?;
//! let mut packed = vec![0.0; convolution.packed_len()];
//! convolution.pack(&vec![1.0; 16 * 16 * 9], &mut packed, &Serial)?;
//! let (image, mut output) = (vec![1.0; 16 * 64], vec![0.0; 16 * 64]);
//! let mut scratch = vec![0.0; convolution.scratch_len()];
//! let finish = Finish::default();
//! convolution.run(&packed, &image, &finish, &mut output, &mut scratch, &Serial)?;
//! assert!((output[16 * 9] - 144.0).abs() < 1e-3);
//! # Ok::<(), mmcv_kernels::Error>(())
//! ```

mod error;
mod isa;
mod layout;
mod simd;
mod winograd;
mod workers;

pub use error::{Error, Result};
pub use isa::Isa;
pub use layout::Layout;
pub use winograd::{Clamp, Convolution, Finish, Operand, Packing, Problem, Tile};
pub use workers::{Serial, Threads, Workers};
