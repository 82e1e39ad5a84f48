//! Backbones and classifiers of the OpenMMLab model zoo.
