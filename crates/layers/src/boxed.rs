//! A boxed module is a module.

use mmcv_registry::Dict;
use tch::Tensor;

use crate::conv::Convolution;
use crate::{Forward, InitCfg, KeyMapping, Module, Output, Parts, Result};

impl Forward for Box<dyn Module> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        (**self).forward(input)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        (**self).call(inputs, options)
    }
}

impl Module for Box<dyn Module> {
    fn class(&self) -> &'static [&'static str] {
        (**self).class()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        (**self).parts(parts);
    }

    fn boxed(self) -> Box<dyn Module> {
        self
    }

    fn unboxed(&self) -> Option<&dyn Module> {
        Some(&**self)
    }

    fn train(&self, training: bool) {
        (**self).train(training);
    }

    fn init_weights(&self) -> Result<()> {
        (**self).init_weights()
    }

    fn init_cfg(&self) -> Option<&InitCfg> {
        (**self).init_cfg()
    }

    fn has_init_weights(&self) -> bool {
        (**self).has_init_weights()
    }

    fn attribute(&self, name: &str) -> Option<&dyn Module> {
        (**self).attribute(name)
    }

    fn as_convolution(&self) -> Option<&dyn Convolution> {
        (**self).as_convolution()
    }

    fn add_spectral_norm(&mut self) -> Result<()> {
        (**self).add_spectral_norm()
    }

    fn embed_dims(&self) -> Option<i64> {
        (**self).embed_dims()
    }

    fn extra_repr(&self) -> String {
        (**self).extra_repr()
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        (**self).multiply_adds(inputs, outputs)
    }

    fn may_be_absent(&self, name: &str) -> bool {
        (**self).may_be_absent(name)
    }

    fn after_load(&self, absent: &[&str]) -> Result<()> {
        (**self).after_load(absent)
    }

    fn key_mappings(&self) -> Vec<KeyMapping> {
        (**self).key_mappings()
    }
}
