//! Results of all ranks on rank 0, and bytes of all ranks on all.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

use crate::fingerprint::{Code, Fingerprint};
use crate::{Error, ErrorKind, Group, Result};

impl Group {
    /// The results of all ranks on rank 0, `None` on the others. Result `i` of rank `r` is that of item `i * world_size + r`, as
    /// samplers share out items; what goes beyond `size`, the number of items, is the padding of a sampler and left out.
    ///
    /// Results travel as JSON: numbers that are not finite become null, which most types then refuse.
    ///
    /// Reference: `mmengine.dist.collect_results`.
    ///
    /// # Errors
    /// Returns an error if a result cannot be written as JSON or read from it, or another rank fails.
    pub fn collect_results<T>(&self, results: &[T], size: usize) -> Result<Option<Vec<T>>>
    where
        T: Serialize + DeserializeOwned,
    {
        self.collect(results, size).map_err(|error| error.on(self.rank()))
    }

    fn collect<T>(&self, results: &[T], size: usize) -> Result<Option<Vec<T>>>
    where
        T: Serialize + DeserializeOwned,
    {
        let text = serde_json::to_vec(results);
        // A rank that failed takes part all the same: the others wait for it.
        let bytes = text.as_deref().unwrap_or_default();
        let all = self.gather_bytes(bytes)?;
        text.map_err(|error| unreadable(&error))?;
        if let Some(rank) = all.iter().position(Vec::is_empty) {
            return Err(ErrorKind::Results(format!("rank {rank} could not write them")).into());
        }
        if !self.is_main_process() {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for bytes in &all {
            let part: Vec<T> = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
            parts.push(part.into_iter());
        }
        Ok(Some(interleave(parts, size)))
    }

    /// The bytes of all ranks, of any lengths.
    pub(crate) fn gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let Some(inner) = self.inner() else { return Ok(vec![bytes.to_vec()]) };
        let length = Tensor::f_from_slice(&[bytes.len() as i64])?;
        let mut lengths = Vec::new();
        for length in inner.gather(Fingerprint::new(Code::Bytes).tensor(&length), &length)? {
            lengths.push(usize::try_from(length.f_int64_value(&[0])?).unwrap_or_default());
        }
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let mut padded = bytes.to_vec();
        padded.resize(longest, 0);
        let padded = Tensor::f_from_data_size(&padded, &[longest as i64], Kind::Uint8)?;
        let mut all = Vec::new();
        for (bytes, length) in inner.gather(Fingerprint::new(Code::Bytes).tensor(&padded), &padded)?.iter().zip(lengths)
        {
            let mut bytes = Vec::<u8>::try_from(bytes)?;
            bytes.truncate(length);
            all.push(bytes);
        }
        Ok(all)
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    ErrorKind::Results(error.to_string()).into()
}

/// One of each part in turn, at most `size` in all.
fn interleave<T>(mut parts: Vec<impl Iterator<Item = T>>, size: usize) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let before = all.len();
        for part in &mut parts {
            if all.len() < size {
                all.extend(part.next());
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::interleave;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let parts = vec![vec![0, 3, 6], vec![1, 4, 7], vec![2, 5, 0]];
        let parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
        assert_eq!(interleave(parts.clone(), 8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(interleave(parts, 20).len(), 9);
        assert_eq!(interleave(vec![vec![1, 2].into_iter(), Vec::new().into_iter()], 5), [1, 2]);
    }
}
