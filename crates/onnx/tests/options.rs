//! What the options of an export do to the file, and mistakes in them.
#![allow(clippy::unwrap_used)]

use mmcv_layers::{Forward, Module, ModuleExt, Result, build_conv_layer};
use mmcv_onnx::{ErrorKind, ImageInput, OnnxOptions, Precision, export};
use mmcv_registry::{config, dict};
use tch::Tensor;

/// Sums along the channels, for which mmcv-onnx has no translation.
#[derive(Debug, Module)]
struct Cumulative;

impl Forward for Cumulative {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_cumsum(1, None)?)
    }
}

/// A convolution of 3 x 3.
fn conv(in_channels: i64, out_channels: i64) -> Box<dyn Module> {
    let arguments = dict! { in_channels: in_channels, out_channels: out_channels, kernel_size: 3 };
    let conv = build_conv_layer(&config! { type: "Conv2d" }, &arguments).unwrap();
    conv.train(false);
    conv
}

fn has(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|part| part == words.as_bytes())
}

#[test]
fn an_operator_can_get_a_translation() {
    let error = export(&Cumulative, &[1, 3, 8, 8], &OnnxOptions::default()).unwrap_err();
    assert!(matches!(&*error.kind, ErrorKind::Operator { operator } if operator == "aten::cumsum"), "{error}");

    let mut options = OnnxOptions::default();
    options.translate("aten::cumsum", |call| {
        assert_eq!((call.operator(), call.module(), call.opset()), ("aten::cumsum", "", 17));
        assert_eq!((call.shape(0)?, call.has(2)), (vec![1, 3, 8, 8], false));
        let (input, axis) = (call.tensor(0)?, call.constant(&Tensor::from(call.int(1)?))?);
        Ok(vec![call.node("CumSum", &[&input, &axis], &[])])
    });
    assert!(has(&export(&Cumulative, &[1, 3, 8, 8], &options).unwrap().to_bytes().unwrap(), "CumSum"));

    options.translate("aten::cumsum", |call| {
        let input = call.tensor(0)?;
        Ok(call.nodes_of_domain(("com.example", 2), "Cumulate", &[&input], 1, &[]))
    });
    let bytes = export(&Cumulative, &[1, 3, 8, 8], &options).unwrap().to_bytes().unwrap();
    assert!(has(&bytes, "com.example") && !has(&bytes, "CumSum"));

    options.translate("aten::cumsum", |_| Ok(Vec::new()));
    let error = export(&Cumulative, &[1, 3, 8, 8], &options).unwrap_err().to_string();
    assert!(error.contains("returns 1 tensors, and its registered translation 0"), "{error}");
}

#[test]
fn mistakes_in_options_are_errors() {
    let conv = conv(3, 4);
    let images = |mean: &[f64], std: &[f64]| {
        let mut options = OnnxOptions::default();
        options.image_input = Some(ImageInput::new(mean, std));
        options
    };
    let mut softmax = OnnxOptions::default();
    softmax.softmax = true;
    assert!(export(&*conv, &[1, 3, 8, 8], &softmax).is_ok());
    assert!(export(&*conv, &[1, 3, 8, 8], &images(&[1.0, 2.0, 3.0], &[1.0; 3])).is_ok());
    let mut bf16 = OnnxOptions::default();
    bf16.precision = Precision::Bfloat16;
    for (options, words) in [
        (images(&[1.0, 2.0], &[1.0; 3]), "image_input.mean is [1.0, 2.0]: expected 3 finite numbers"),
        (images(&[1.0; 3], &[1.0, 0.0, 1.0]), "image_input.std is [1.0, 0.0, 1.0]"),
        (bf16, "bfloat16 needs opset 22"),
    ] {
        let error = export(&*conv, &[1, 3, 8, 8], &options).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut fp16 = OnnxOptions::default();
    fp16.precision = Precision::Float16;
    assert!(export(&*conv, &[1, 3, 8, 8], &fp16).is_ok());
    let (_, weight) = conv.named_parameters().remove(0);
    let _ = tch::no_grad(|| weight.shallow_clone().fill_(1e5));
    let error = export(&*conv, &[1, 3, 8, 8], &fp16).unwrap_err().to_string();
    assert!(error.contains("weight has numbers that are too large for float16"), "{error}");
}

#[test]
fn weights_lie_at_pages_of_their_file() {
    let conv = conv(16, 16);
    let mut model = export(&*conv, &[1, 16, 8, 8], &OnnxOptions::default()).unwrap();
    model.set_metadata("note", "first");
    model.set_metadata("note", "second");
    assert_eq!(model.output_shapes(), [[None, Some(16), Some(6), Some(6)]]);
    let (mut small, mut data) = (Vec::new(), Vec::new());
    model.write_external("net.onnx.data", &mut small, &mut data).unwrap();
    assert_eq!(data.len(), 16 * 16 * 9 * 4);
    let whole = model.to_bytes().unwrap();
    assert!(has(&whole, "second") && !has(&whole, "first"));
    assert!(whole.len() > data.len() && small.len() < 1500, "{} and {} bytes", whole.len(), small.len());
    for location in ["", "/net.data", "../net.data", "a/./b", "a\\b"] {
        let error = model.write_external(location, &mut Vec::new(), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("a relative path"), "{error}");
    }
}
