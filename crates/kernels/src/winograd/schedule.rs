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
        let routines = &convolution.routines;
        let all = convolution.positions.len() * convolution.problem.batch;
        let points = convolution.size * convolution.size;
        let per_tile = points * (convolution.in_vectors + convolution.out_vectors) * routines.lanes * 4;
        let threads = convolution.threads;
        let own = OF_A_THREAD / per_tile;
        let is_shared = own < FEW || all < 2 * threads;
        let (most, rounds) = if is_shared { ((SHARED / per_tile).max(routines.tiles), 1) } else { (own, threads) };
        let blocks = all.div_ceil(most).next_multiple_of(rounds).min(all);
        let tiles = all.div_ceil(blocks);
        let blocks = all.div_ceil(tiles);
        let vectors = if tiles <= routines.few_tiles { 4 } else { 2 };
        let largest = if vectors == 4 { routines.few_tiles } else { routines.tiles };
        let chunk = tiles.div_ceil(tiles.div_ceil(largest));
        let blocks = if is_shared { Blocks::Shared(blocks) } else { Blocks::OfThreads(blocks) };
        Self { blocks, tiles, chunk, vectors }
    }

    /// The tiles of a block, among those of all images.
    pub(super) fn block(&self, convolution: &Convolution, block: usize) -> Range<usize> {
        let all = convolution.positions.len() * convolution.problem.batch;
        block * self.tiles..((block + 1) * self.tiles).min(all)
    }

    /// The numbers of all scratch memory.
    pub(super) fn scratch(&self, convolution: &Convolution) -> usize {
        match self.blocks {
            Blocks::OfThreads(blocks) => convolution.threads.min(blocks) * self.thread_scratch(convolution),
            Blocks::Shared(_) => self.thread_scratch(convolution),
        }
    }

    /// The numbers of scratch memory for one block: first the transforms of the input, then those of the output.
    pub(super) fn thread_scratch(&self, convolution: &Convolution) -> usize {
        self.outputs(convolution) + convolution.out_vectors * self.output_vector(convolution)
    }

    /// Where the outputs begin.
    fn outputs(&self, convolution: &Convolution) -> usize {
        convolution.size * convolution.size * self.input_step(convolution)
    }

    /// From one point of a transformed input to the next: for each chunk of tiles and each vector of channels the tiles. A vector
    /// more, so that the points of a tile do not compete for the same lines of the cache.
    pub(super) fn input_step(&self, convolution: &Convolution) -> usize {
        (self.tiles.div_ceil(self.chunk) * self.chunk * convolution.in_vectors + 1) * convolution.routines.lanes
    }

    /// Where the first point of a tile's vector of channels is.
    pub(super) fn input(&self, convolution: &Convolution, tile: usize, vector: usize) -> usize {
        let (chunk, tile) = (tile / self.chunk, tile % self.chunk);
        ((chunk * convolution.in_vectors + vector) * self.chunk + tile) * convolution.routines.lanes
    }

    /// From one tile's outputs to the next: for each vector of channels and each tile the points. A vector more, as above.
    pub(super) fn output_tile(&self, convolution: &Convolution) -> usize {
        (convolution.size * convolution.size + 1) * convolution.routines.lanes
    }

    /// From one vector of output channels to the next.
    pub(super) fn output_vector(&self, convolution: &Convolution) -> usize {
        self.tiles * self.output_tile(convolution)
    }

    /// Where the first point of a tile's vector of output channels is.
    pub(super) fn output(&self, convolution: &Convolution, tile: usize, vector: usize) -> usize {
        self.outputs(convolution) + vector * self.output_vector(convolution) + tile * self.output_tile(convolution)
    }
}
