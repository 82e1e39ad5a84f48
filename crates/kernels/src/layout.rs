//! [`Layout`]: how the channels of images lie in memory.

/// How the channels of images lie in memory: always so that those of a pixel that an instruction reads lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// `[batch, height, width, channels]`.
    ChannelsLast,
    /// `[batch, channels / 8, height, width, 8]`; channels that fill up the last block are zero.
    Blocked8,
    /// `[batch, channels / 16, height, width, 16]`; channels that fill up the last block are zero.
    Blocked16,
}

/// Where the numbers of images with a [`Layout`] are, as distances in numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strides {
    pub(crate) image: usize,
    pub(crate) row: usize,
    pub(crate) pixel: usize,
    /// From one block of channels to the next.
    block: usize,
    /// The channels of a block: a power of two.
    pub(crate) block_size: usize,
    /// Whether channels that fill up the last block have memory.
    pub(crate) is_padded: bool,
}

impl Layout {
    fn block_size(self) -> Option<usize> {
        match self {
            Self::ChannelsLast => None,
            Self::Blocked8 => Some(8),
            Self::Blocked16 => Some(16),
        }
    }

    /// The numbers of an image of this size; `None` if they cannot be counted.
    pub(crate) fn image_len(self, channels: usize, height: usize, width: usize) -> Option<usize> {
        let channels = match self.block_size() {
            None => channels,
            Some(size) => channels.checked_next_multiple_of(size)?,
        };
        channels.checked_mul(height)?.checked_mul(width)
    }

    /// The distances for images of this size, whose numbers can be counted.
    pub(crate) fn strides(self, channels: usize, height: usize, width: usize) -> Strides {
        match self.block_size() {
            None => Strides {
                image: channels * height * width,
                row: channels * width,
                pixel: channels,
                block: 0,
                block_size: 1 << 31,
                is_padded: false,
            },
            Some(size) => Strides {
                image: channels.next_multiple_of(size) * height * width,
                row: width * size,
                pixel: size,
                block: height * width * size,
                block_size: size,
                is_padded: true,
            },
        }
    }
}

impl Strides {
    /// The channels that have memory.
    pub(crate) fn padded(&self, channels: usize) -> usize {
        if self.is_padded { channels.next_multiple_of(self.block_size) } else { channels }
    }

    /// Where a channel of a pixel is, from the pixel's first.
    #[inline(always)]
    pub(crate) fn channel(&self, channel: usize) -> usize {
        (channel / self.block_size) * self.block + (channel & (self.block_size - 1))
    }
}
