//! [`Coefficients`]: the numbers of the transforms.
//!
//! A tile of `n` numbers is a polynomial that is evaluated at `n - 1` points and at infinity (Toom and Cook). All points but 0
//! come in pairs `+a, -a`, so that a transform is made of even and odd halves. Points that are powers of two and thirds apart
//! lose least: with 0, ±3/4, ±3/2 instead of 0, ±1, ±2 the largest error of F(4, 3) is 2 to 4 times as small.

/// The most pairs of points.
const MOST: usize = 3;

/// The numbers of the transforms of tiles of one size. Polynomials are in the square of the variable, constants first.
pub(super) struct Coefficients {
    /// The positive point of each pair.
    pub(super) point: [f64; MOST],
    /// The powers of each point up to the largest.
    pub(super) power: [[f32; 2 * MOST]; MOST],
    /// The product over all pairs of `x^2 - a^2`.
    pub(super) all: [f64; MOST + 1],
    /// For each pair, the product over all others.
    pub(super) others: [[f64; MOST]; MOST],
    /// By what the transformed weight is divided at each pair of points.
    pub(super) scale: [f64; MOST],
}

/// The points for tiles of `size` numbers (4, 6 or 8).
const fn points(size: usize) -> [f64; MOST] {
    match size {
        4 => [1.0, 0.0, 0.0],
        6 => [0.75, 1.5, 0.0],
        _ => [0.5, 1.0, 2.0],
    }
}

/// The product of `x - root^2` over the first `pairs` points but `without`.
const fn product(point: &[f64; MOST], pairs: usize, without: usize) -> [f64; MOST + 1] {
    let mut polynomial = [0.0; MOST + 1];
    polynomial[0] = 1.0;
    let mut pair = 0;
    while pair < pairs {
        if pair != without {
            let root = point[pair] * point[pair];
            let mut power = MOST;
            while power > 0 {
                polynomial[power] = polynomial[power - 1] - root * polynomial[power];
                power -= 1;
            }
            polynomial[0] *= -root;
        }
        pair += 1;
    }
    polynomial
}

/// The numbers for tiles of `size` numbers (4, 6 or 8).
const fn coefficients(size: usize) -> Coefficients {
    let pairs = (size - 2) / 2;
    let point = points(size);
    let mut made = Coefficients {
        point,
        power: [[0.0; 2 * MOST]; MOST],
        all: product(&point, pairs, MOST),
        others: [[0.0; MOST]; MOST],
        scale: [0.0; MOST],
    };
    let mut pair = 0;
    while pair < pairs {
        let square = point[pair] * point[pair];
        let others = product(&point, pairs, pair);
        let mut value = 0.0;
        let mut power = MOST;
        while power > 0 {
            power -= 1;
            made.others[pair][power] = others[power];
            value = value * square + others[power];
        }
        made.scale[pair] = 2.0 * square * value;
        let (mut power, mut raised) = (0, 1.0);
        while power < 2 * MOST {
            made.power[pair][power] = raised as f32;
            raised *= point[pair];
            power += 1;
        }
        pair += 1;
    }
    made
}

/// Tiles of `SIZE` numbers: their transforms, along one axis.
pub(super) struct Line<const SIZE: usize>;

impl<const SIZE: usize> Line<SIZE> {
    pub(super) const NUMBERS: Coefficients = coefficients(SIZE);
    pub(super) const PAIRS: usize = (SIZE - 2) / 2;
    /// How many outputs a tile has.
    pub(super) const OUTPUTS: usize = SIZE - 2;

    /// The three weights of a kernel at the points: 0, each pair, infinity.
    #[inline(always)]
    pub(super) fn weights(kernel: [f64; 3]) -> [f64; SIZE] {
        let numbers = &Self::NUMBERS;
        let mut line = [0.0; SIZE];
        line[0] = kernel[0] / numbers.all[0];
        for pair in 0..Self::PAIRS {
            let point = numbers.point[pair];
            let even = (kernel[0] + point * point * kernel[2]) / numbers.scale[pair];
            let odd = point * kernel[1] / numbers.scale[pair];
            line[2 * pair + 1] = even + odd;
            line[2 * pair + 2] = even - odd;
        }
        line[SIZE - 1] = kernel[2];
        line
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    /// Outputs of a tile by the definition of Toom and Cook, from which the halves are derived.
    fn outputs<const SIZE: usize>(tile: [f64; SIZE], kernel: [f64; 3]) -> Vec<f64> {
        let numbers = &Line::<SIZE>::NUMBERS;
        let weights = Line::<SIZE>::weights(kernel);
        let pairs = Line::<SIZE>::PAIRS;
        let mut products = [0.0; SIZE];
        for power in 0..=pairs {
            products[0] += numbers.all[power] * tile[2 * power];
            products[SIZE - 1] += numbers.all[power] * tile[2 * power + 1];
        }
        for pair in 0..pairs {
            let (mut even, mut odd) = (0.0, 0.0);
            for power in 0..pairs {
                even += numbers.others[pair][power] * tile[2 * power + 2];
                odd += numbers.others[pair][power] * tile[2 * power + 1] * numbers.point[pair];
            }
            products[2 * pair + 1] = even + odd;
            products[2 * pair + 2] = even - odd;
        }
        let mut outputs = vec![0.0; Line::<SIZE>::OUTPUTS];
        for (index, output) in outputs.iter_mut().enumerate() {
            for pair in 0..pairs {
                let raised = f64::from(numbers.power[pair][index]);
                let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
                *output += raised * (products[2 * pair + 1] * weights[2 * pair + 1]);
                *output += sign * raised * (products[2 * pair + 2] * weights[2 * pair + 2]);
            }
        }
        outputs[0] += products[0] * weights[0];
        *outputs.last_mut().unwrap_or(&mut 0.0) += products[SIZE - 1] * weights[SIZE - 1];
        outputs
    }

    fn check<const SIZE: usize>() {
        let mut tile = [0.0; SIZE];
        for (index, number) in tile.iter_mut().enumerate() {
            *number = (index * index % 7) as f64 - 2.5;
        }
        let kernel = [0.5, -2.0, 3.25];
        for (index, output) in outputs(tile, kernel).iter().enumerate() {
            let expected: f64 = (0..3).map(|tap| tile[index + tap] * kernel[tap]).sum();
            assert!((output - expected).abs() < 1e-12, "{SIZE} {index}: {output} {expected}");
        }
    }

    #[test]
    fn the_transforms_are_those_of_a_convolution() {
        check::<4>();
        check::<6>();
        check::<8>();
    }
}
