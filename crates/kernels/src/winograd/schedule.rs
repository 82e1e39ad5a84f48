//! [`Schedule`]: which tiles are computed together, and where their transforms lie.

use std::ops::Range;

use super::Convolution;

/// The bytes of transforms that a thread works on at a time: about the second level of cache.
const OF_A_THREAD: usize = 512 << 10;

/// The bytes of transforms that threads work on together: some of the third level of cache.
const SHARED: usize = 8 << 20;

/// For fewer tiles than this, weights are read too often: threads then work together on more.
const FEW: usize = 12;

/// Which tiles are computed together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Schedule {
    pub(super) blocks: Blocks,
    /// The tiles of a block; the last may have fewer.
    tiles: usize,
    /// The tiles that are multiplied together.
    pub(super) chunk: usize,
    /// The vectors of output channels that are multiplied together.
    pub(super) vectors: usize,
    /// The tiles of all images.
    all: usize,
    lanes: usize,
    in_vectors: usize,
    /// From one point of a transformed input to the next: for each chunk of tiles and each vector of channels the tiles. A vector
    /// more, so that the points of a tile do not compete for the same lines of the cache.
    pub(super) input_step: usize,
    /// Where the outputs begin, behind the transforms of the input.
    outputs: usize,
    /// From one tile's outputs to the next: for each vector of channels and each tile the points. A vector more, as above.
    pub(super) output_tile: usize,
    /// From one vector of output channels to the next.
    pub(super) output_vector: usize,
    /// The numbers of scratch memory for one block.
    pub(super) block_scratch: usize,
    /// The numbers of all scratch memory.
    pub(super) scratch: usize,
}

/// Who computes a block of tiles.
#[derive(Debug, Clone, Copy)]
pub(super) enum Blocks {
    /// So many blocks, each by one thread from the input to the output.
    OfThreads(usize),
    /// So many blocks, one after the other, each by all threads.
    Shared(usize),
}

impl Default for Blocks {
    fn default() -> Self {
        Self::Shared(0)
    }
}

impl Schedule {
    pub(super) fn new(convolution: &Convolution) -> Self {
        let Convolution { routines, in_vectors, out_vectors, threads, size, .. } = convolution;
        let (in_vectors, out_vectors, threads, lanes) = (*in_vectors, *out_vectors, *threads, routines.lanes);
        let all = convolution.positions.len() * convolution.problem.batch;
        let points = size * size;
        let per_tile = points * (in_vectors + out_vectors) * lanes * 4;
        let own = OF_A_THREAD / per_tile;
        let is_shared = own < FEW || all < 2 * threads;
        let (most, rounds) = if is_shared { ((SHARED / per_tile).max(routines.tiles), 1) } else { (own, threads) };
        let blocks = all.div_ceil(most).next_multiple_of(rounds).min(all);
        let tiles = all.div_ceil(blocks);
        let blocks = all.div_ceil(tiles);
        let vectors = if tiles <= routines.few_tiles { 4 } else { 2 };
        let largest = if vectors == 4 { routines.few_tiles } else { routines.tiles };
        let chunk = tiles.div_ceil(tiles.div_ceil(largest));
        let input_step = (tiles.div_ceil(chunk) * chunk * in_vectors + 1) * lanes;
        let outputs = points * input_step;
        let output_tile = (points + 1) * lanes;
        let output_vector = tiles * output_tile;
        let block_scratch = outputs + out_vectors * output_vector;
        let (blocks, scratch) = if is_shared {
            (Blocks::Shared(blocks), block_scratch)
        } else {
            (Blocks::OfThreads(blocks), threads.min(blocks) * block_scratch)
        };
        Self {
            blocks,
            tiles,
            chunk,
            vectors,
            all,
            lanes,
            in_vectors,
            input_step,
            outputs,
            output_tile,
            output_vector,
            block_scratch,
            scratch,
        }
    }

    /// The tiles of a block, among those of all images.
    pub(super) fn block(&self, block: usize) -> Range<usize> {
        block * self.tiles..((block + 1) * self.tiles).min(self.all)
    }

    /// Where the first point of a tile's vector of channels is.
    pub(super) fn input(&self, tile: usize, vector: usize) -> usize {
        let (chunk, tile) = (tile / self.chunk, tile % self.chunk);
        ((chunk * self.in_vectors + vector) * self.chunk + tile) * self.lanes
    }

    /// Where the first point of a tile's vector of output channels is.
    pub(super) fn output(&self, tile: usize, vector: usize) -> usize {
        self.outputs + vector * self.output_vector + tile * self.output_tile
    }
}
