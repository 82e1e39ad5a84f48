//! The operator that `docs/adding-a-kernel.md` adds: `-x`. It is compiled for tests only, which check that the page shows it.

// [the page shows what follows]
use super::{Candidate, Kernel, Kernels, Operator};
use crate::bridge::{self, Algorithm, Eltwise};
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::unit::{After, Unit};

pub(crate) const OPERATOR: Operator = Operator { name: "negation", recognize };

#[derive(Debug)]
struct Negation {
    input: ValueId,
}

const NEGATE: Eltwise = Eltwise { algorithm: Algorithm::Linear, alpha: -1.0, beta: 0.0 };

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    if candidate.node.name() != "neg" {
        return None;
    }
    candidate.one(Negation { input: candidate.computed(0)? })
}

impl Kernel for Negation {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, _: &Unit) -> Result<Stored> {
        let source = compiler.typed(self.input)?;
        let op = bridge::elementwise(NEGATE, &source.desc, &source.desc)?;
        compiler.simple(OPERATOR.name, op, source.place)
    }

    fn as_after(&self, value: ValueId) -> Option<After> {
        if self.input == value { Some(After::Eltwise(NEGATE)) } else { None }
    }
}
// [to here]

#[allow(clippy::unwrap_used)]
mod tests {
    use tch::{Tensor, kind};

    use super::OPERATOR;
    use crate::graph::{Arg, Graph, Node, ValueId};
    use crate::interpreter::Interpreter;
    use crate::onednn::ops::{OPERATORS, Operator};
    use crate::onednn::{REGION, Weights, regions_of};
    use crate::options::FuseOptions;

    const PAGE: &str = include_str!("../../../../../docs/adding-a-kernel.md");

    #[test]
    fn the_page_shows_this_file() {
        let (_, shown) = include_str!("negation.rs").split_once("what follows]\n").unwrap();
        let (shown, _) = shown.split_once("// [to here]").unwrap();
        let page: Vec<&str> = PAGE.lines().map(str::trim_start).collect();
        let shown: Vec<&str> = shown.lines().map(str::trim_start).collect();
        assert!(page.windows(shown.len()).any(|lines| lines == shown));
    }

    /// A convolution, its negation, and the negation of its maximum pooling.
    fn graph() -> Graph {
        let pair = |number| Arg::Ints(vec![number; 2]);
        let convolution = vec![
            Arg::Value(0),
            Arg::Value(1),
            Arg::None,
            pair(1),
            pair(1),
            pair(1),
            Arg::Bool(false),
            pair(0),
            Arg::Int(1),
        ];
        let pooling = vec![Arg::Value(2), pair(2), pair(2), pair(0), pair(1), Arg::Bool(false)];
        let node = |op: &str, args: Vec<Arg>, output: ValueId| Node::new(op, "", args, vec![output]);
        Graph {
            nodes: vec![
                node("aten::convolution", convolution, 2),
                node("aten::max_pool2d", pooling, 3),
                node("aten::neg", vec![Arg::Value(3)], 4),
                node("aten::neg", vec![Arg::Value(2)], 5),
            ],
            inputs: vec![0],
            outputs: vec![4, 5],
            constants: [(1, Tensor::randn([4, 3, 3, 3], kind::FLOAT_CPU))].into(),
            questions: Vec::new(),
            next: 6,
        }
    }

    #[test]
    fn an_operator_is_one_file_and_one_line_of_the_table() {
        let _guard = tch::no_grad_guard();
        let graph = graph();
        let input = Tensor::randn([1, 3, 8, 8], kind::FLOAT_CPU);
        let (shapes, expected) = Interpreter::new(&graph).unwrap().shapes(&[&input]).unwrap();
        let table: Vec<Operator> = OPERATORS.iter().copied().chain([OPERATOR]).collect();
        for (operators, left) in [(OPERATORS, 2), (table.as_slice(), 0)] {
            let (rewritten, regions) =
                regions_of(operators, &graph, &shapes, &FuseOptions::default(), &mut Weights::default());
            let others = rewritten.nodes.iter().filter(|node| node.op != REGION).count();
            assert_eq!(others, left);
            let found = Interpreter::with_regions(&rewritten, regions).unwrap().run(&[&input]).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found.allclose(expected, 1e-5, 1e-5, false));
            }
        }
    }
}
