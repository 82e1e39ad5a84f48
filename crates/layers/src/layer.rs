//! [`Layer`]: a type of the registry.

use mmcv_registry::{ConfigStruct, Dict, KeyPath, Spec, TypedConfig, dict};

use crate::{Builder, Module, Registry, Result};

/// Builds a registered type from the dict of its arguments. The builder looks nested types up; its path is the root.
pub type Build = fn(&Dict, &Builder<'_>) -> BuildResult;

/// The result of building a module.
pub type BuildResult = Result<Box<dyn Module>>;

/// The result of building a module that has a name, such as `bn1`.
pub type NamedBuildResult = Result<(String, Box<dyn Module>)>;

/// A type that configs name: its arguments, and how it is built from them.
///
/// ```
/// use mmcv_layers::{Builder, Forward, Layer, Module, Result, new_registry};
/// use mmcv_registry::{Config, config};
/// use tch::Tensor;
///
/// /// Arguments of `Multiply`.
/// #[derive(Debug, Clone, PartialEq, Config)]
/// pub struct MultiplyConfig {
///     /// The factor.
///     pub factor: f64,
/// }
///
/// /// Multiplies by a constant.
/// #[derive(Debug, Module)]
/// pub struct Multiply(MultiplyConfig);
///
/// impl Forward for Multiply {
///     fn forward(&self, input: &Tensor) -> Result<Tensor> {
///         Ok(input.f_mul_scalar(self.0.factor)?)
///     }
/// }
///
/// impl Layer for Multiply {
///     const NAME: &'static str = "Multiply";
///     type Config = MultiplyConfig;
///     type Module = Self;
///
///     fn build(config: &MultiplyConfig, _: &Builder<'_>) -> Result<Self> {
///         Ok(Self(config.clone()))
///     }
/// }
///
/// let registry = new_registry();
/// registry.add(Multiply::SPEC)?;
/// let layer = Builder::new(&registry).model(&config! { type: "Multiply", factor: 2 })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Layer {
    /// The name in a config.
    const NAME: &'static str;

    /// The arguments.
    type Config: ConfigStruct;

    /// The module that is built: usually the type itself. Types that share a module, such as `Conv1d` and `Conv2d`, are
    /// empty enums of their own.
    type Module: Module;

    /// The entry for a registry, to which a table may add documentation, aliases and a group.
    const SPEC: Spec<Build> = Spec { fields: Self::Config::FIELDS, ..Spec::new(Self::NAME, build::<Self>) };

    /// Builds the layer with PyTorch's initial values. Parts that the config names are built with `builder`.
    ///
    /// # Errors
    /// Returns an error if an argument is not allowed; its path starts at the layer's own dict.
    fn build(config: &Self::Config, builder: &Builder<'_>) -> Result<Self::Module>;

    /// The dict `{type: NAME}`, for places where a config names a layer with its default arguments:
    /// `.with_act(SiLU::cfg())`.
    #[must_use]
    fn cfg() -> Dict {
        dict! { type: Self::NAME }
    }

    /// The registry in which a layer that is built from typed arguments looks up the types that they name.
    #[must_use]
    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// What arguments with a layer of their own can do: the typed way to a layer.
///
/// ```no_run
/// use mmcv_layers::LayerConfig;
/// use mmcv_layers::norm::GroupNormConfig;
///
/// let norm = GroupNormConfig::new(32).with_num_channels(64).build()?;
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
pub trait LayerConfig: TypedConfig {
    /// The module that is built.
    type Module;

    /// Builds the layer. Types that the arguments name are those of the layer's crate: see [`Layer::registry`].
    ///
    /// # Errors
    /// As [`Layer::build`].
    fn build(&self) -> Result<Self::Module>;

    /// Builds the layer. Types that the arguments name are looked up by `builder`.
    ///
    /// # Errors
    /// As [`Layer::build`].
    fn build_with(&self, builder: &Builder<'_>) -> Result<Self::Module>;

    /// Builds another layer with the same arguments: `ConvConfig::new(3, 8, 3).build_as::<Conv3d>()`.
    ///
    /// # Errors
    /// As [`Layer::build`].
    fn build_as<L: Layer<Config = Self>>(&self) -> Result<L::Module> {
        L::build(self, &Builder::new(L::registry()))
    }
}

impl<C: TypedConfig> LayerConfig for C
where
    C::Layer: Layer<Config = C>,
{
    type Module = <C::Layer as Layer>::Module;

    fn build(&self) -> Result<Self::Module> {
        self.build_as::<C::Layer>()
    }

    fn build_with(&self, builder: &Builder<'_>) -> Result<Self::Module> {
        C::Layer::build(self, builder)
    }
}

fn build<L: Layer + ?Sized>(arguments: &Dict, builder: &Builder<'_>) -> Result<Box<dyn Module>> {
    let config = L::Config::decode(arguments, &KeyPath::root())?;
    Ok(Box::new(L::build(&config, builder)?))
}
