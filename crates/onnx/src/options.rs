//! [`OnnxOptions`]: how a module is exported.

/// How a module is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The names of the inputs; `input`, or `input0` and so on, by default.
    pub input_names: Vec<String>,
    /// The names of the outputs; `output`, or `output0` and so on, by default.
    pub output_names: Vec<String>,
    /// What is noted in the file, such as class names.
    pub metadata: Vec<(String, String)>,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self {
            opset: 17,
            fold: true,
            dynamic_batch: true,
            dynamic_size: false,
            input_names: Vec::new(),
            output_names: Vec::new(),
            metadata: Vec::new(),
        }
    }
}
