//! [`OnnxOptions`]: how a module is exported.

use std::sync::Arc;

use tch::Kind;

use crate::error::Result;
use crate::image_input::ImageInput;
use crate::translation::{Translations, Translator};

/// The type of the weights, and of what is computed with them, of an exported network whose module is in f32. Its inputs and outputs
/// stay in f32, and so do the normalization of images, variances, and the softmax at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// That of the module.
    #[default]
    Module,
    /// 11 bits of mantissa, numbers up to 65,504.
    Float16,
    /// 8 bits of mantissa, the range of f32. Needs opset 22.
    Bfloat16,
}

impl Precision {
    /// The type of a tensor that has this one in the module.
    pub(crate) fn of(self, kind: Kind) -> Kind {
        match (self, kind) {
            (Self::Float16, Kind::Float) => Kind::Half,
            (Self::Bfloat16, Kind::Float) => Kind::BFloat16,
            _ => kind,
        }
    }
}

/// How a module is exported.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OnnxOptions {
    /// The version of ONNX's operators, 13 to 22; 17 by default.
    pub opset: i64,
    /// Whether batch norms become part of convolutions, and what depends on weights alone is computed; true by default.
    pub fold: bool,
    /// Whether the file takes any number of images; true by default.
    pub dynamic_batch: bool,
    /// Whether the file takes images of any height and width; false by default.
    pub dynamic_size: bool,
    /// The type of the weights and of what is computed with them; the module's own by default.
    pub precision: Precision,
    /// Takes images in 8 bits, which the graph normalizes; `None`, for inputs as the module takes them, by default.
    pub image_input: Option<ImageInput>,
    /// Whether the output is a softmax over its axis 1, such as scores of classes that add up to 1; false by default.
    pub softmax: bool,
    /// The names of the inputs; `input`, or `input0` and so on, by default.
    pub input_names: Vec<String>,
    /// The names of the outputs; `output`, or `output0` and so on, by default.
    pub output_names: Vec<String>,
    /// What is noted in the file, such as class names.
    pub metadata: Vec<(String, String)>,
    pub(crate) translations: Translations,
}

impl OnnxOptions {
    /// Registers what an operator of libtorch, such as `aten::cumsum`, is in ONNX, in all its overloads: for modules of your own, and in
    /// place of a translation of this crate. `translate` adds nodes, and returns the names of the operator's results.
    ///
    /// ```
    /// use mmcv_onnx::OnnxOptions;
    /// use tch::Tensor;
    ///
    /// let mut options = OnnxOptions::default();
    /// options.translate("aten::cumsum", |call| {
    ///     let (input, axis) = (call.tensor(0)?, Tensor::from(call.int(1)?));
    ///     let axis = call.constant(&axis)?;
    ///     Ok(vec![call.node("CumSum", &[&input, &axis], &[])])
    /// });
    /// ```
    pub fn translate<F>(&mut self, operator: &str, translate: F)
    where
        F: Fn(&mut Translator<'_, '_>) -> Result<Vec<String>> + Send + Sync + 'static,
    {
        self.translations.insert(operator, Arc::new(translate));
    }
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self {
            opset: 17,
            fold: true,
            dynamic_batch: true,
            dynamic_size: false,
            precision: Precision::default(),
            image_input: None,
            softmax: false,
            input_names: Vec::new(),
            output_names: Vec::new(),
            metadata: Vec::new(),
            translations: Translations::default(),
        }
    }
}
