//! The classes and functions that a pickle may name. Each is an exact pair of module and name; there are no prefixes and no
//! dotted names. Anything that is not listed here is refused by name.

use crate::options::UnknownClasses;
use crate::tensor::Dtype;

/// A class or function that a pickle names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Global {
    pub(crate) kind: GlobalKind,
    /// The index of `module.name` among the names of the graph.
    pub(crate) name: u32,
}

/// The treatment of a global.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum GlobalKind {
    /// Implemented by this reader.
    Function(Function),
    Dtype(Dtype),
    QuantizationScheme,
    /// A storage class; `None` if it is untyped.
    Storage(Option<Dtype>),
    /// A class (true) or function whose objects are data that is never inspected.
    Inert(bool),
    /// A class of a TorchScript archive.
    TorchScriptClass,
    /// A class or function that is on no list, in a file opened with [`UnknownClasses::Opaque`].
    Opaque,
}

/// The functions and classes that this reader implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    OrderedDict,
    DefaultDict,
    Counter,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    RebuildParameterWithState,
    RebuildQuantized,
    RebuildSparse,
    RebuildNested,
    RebuildMeta,
    RebuildFromType,
    Parameter,
    TensorClass,
    Size,
    Device,
    GetLayout,
    Encode,
    Set,
    FrozenSet,
    ByteArray,
    Complex,
    Bytes,
    List,
    Dict,
    Tuple,
    Int,
    Float,
    Bool,
    Str,
    GetAttribute,
    TorchVersion,
    /// NumPy.
    ArrayReconstruct,
    ArrayFromBuffer,
    ArrayType,
    /// `copyreg`: create an object of a class.
    Reconstruct,
    NewObject,
    NewObjectEx,
    /// TorchScript: return the first argument.
    TypedList,
    RestoreTypeTag,
}

impl Function {
    /// Whether it is a class, so that NEWOBJ may create an object of it.
    pub(crate) fn is_class(self) -> bool {
        !matches!(
            self,
            Self::RebuildTensor
                | Self::RebuildTensorV2
                | Self::RebuildTensorV3
                | Self::RebuildParameter
                | Self::RebuildParameterWithState
                | Self::RebuildQuantized
                | Self::RebuildSparse
                | Self::RebuildNested
                | Self::RebuildMeta
                | Self::RebuildFromType
                | Self::GetLayout
                | Self::Encode
                | Self::GetAttribute
                | Self::Reconstruct
                | Self::ArrayReconstruct
                | Self::ArrayFromBuffer
                | Self::NewObject
                | Self::NewObjectEx
                | Self::TypedList
                | Self::RestoreTypeTag
        )
    }
}

/// The lists of globals that apply to a pickle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AllowList<'a> {
    /// Additional inert classes, as module and name.
    pub(crate) inert: &'a [(String, String)],
    pub(crate) unknown: UnknownClasses,
    pub(crate) torchscript: bool,
    /// Whether NumPy arrays are read as tensors.
    pub(crate) arrays: bool,
}

impl AllowList<'_> {
    /// The treatment of `module.name`; `None` if it is on no list. `module` is the current name of the module.
    pub(crate) fn find(&self, module: &str, name: &str) -> Option<GlobalKind> {
        if let Some(function) = interpreted(module, name) {
            return Some(GlobalKind::Function(function));
        }
        if self.arrays
            && let Some(function) = array_function(module, name)
        {
            return Some(GlobalKind::Function(function));
        }
        if let Some(class) = inert(module, name) {
            return Some(GlobalKind::Inert(class));
        }
        if is_inert_attribute(module, name) {
            return Some(GlobalKind::Inert(false));
        }
        if let Some(kind) = torch_type(module, name) {
            return Some(kind);
        }
        if self.torchscript
            && let Some(kind) = torchscript(module, name)
        {
            return Some(kind);
        }
        if self.inert.iter().any(|(known_module, known)| known_module == module && known == name) {
            return Some(GlobalKind::Inert(true));
        }
        match self.unknown {
            UnknownClasses::Refuse => None,
            UnknownClasses::Opaque => Some(GlobalKind::Opaque),
        }
    }
}

/// The current name of a module of Python 2 or an older torch.
pub(crate) fn current_module(module: &str) -> &str {
    match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        "torch.tensor" => "torch._tensor",
        _ => module,
    }
}

const SCHEMES: &[&str] = &[
    "per_tensor_affine",
    "per_tensor_symmetric",
    "per_channel_affine",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
];

/// Types, storage classes and quantization schemes of torch.
fn torch_type(module: &str, name: &str) -> Option<GlobalKind> {
    match module {
        "torch" if SCHEMES.contains(&name) => return Some(GlobalKind::QuantizationScheme),
        "torch.storage" if name == "UntypedStorage" => return Some(GlobalKind::Storage(None)),
        "torch" | "torch.cuda" | "torch.storage" => {}
        _ => return None,
    }
    if let Some(dtype) = Dtype::of_storage_class(name) {
        return Some(GlobalKind::Storage(Some(dtype)));
    }
    if module != "torch" {
        return None;
    }
    Some(GlobalKind::Dtype(Dtype::from_name(name)?))
}

fn interpreted(module: &str, name: &str) -> Option<Function> {
    use Function as F;
    let function = match (module, name) {
        ("collections", "OrderedDict") => F::OrderedDict,
        ("collections", "defaultdict") => F::DefaultDict,
        ("collections", "Counter") => F::Counter,
        ("torch._utils", "_rebuild_tensor") => F::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v2") => F::RebuildTensorV2,
        ("torch._utils", "_rebuild_tensor_v3") => F::RebuildTensorV3,
        ("torch._utils", "_rebuild_parameter") => F::RebuildParameter,
        ("torch._utils", "_rebuild_parameter_with_state") => F::RebuildParameterWithState,
        ("torch._utils", "_rebuild_qtensor") => F::RebuildQuantized,
        ("torch._utils", "_rebuild_sparse_tensor") => F::RebuildSparse,
        ("torch._utils", "_rebuild_nested_tensor") => F::RebuildNested,
        ("torch._utils", "_rebuild_meta_tensor_no_storage") => F::RebuildMeta,
        ("torch._tensor", "_rebuild_from_type_v2") => F::RebuildFromType,
        ("torch.nn.parameter", "Parameter" | "Buffer") => F::Parameter,
        ("torch", "Tensor") => F::TensorClass,
        ("torch", "Size") => F::Size,
        ("torch", "device") => F::Device,
        ("torch.serialization", "_get_layout") => F::GetLayout,
        ("_codecs", "encode") => F::Encode,
        ("builtins", "set") => F::Set,
        ("builtins", "frozenset") => F::FrozenSet,
        ("builtins", "bytearray") => F::ByteArray,
        ("builtins", "complex") => F::Complex,
        ("builtins", "bytes") => F::Bytes,
        ("builtins", "list") => F::List,
        ("builtins", "dict") => F::Dict,
        ("builtins", "tuple") => F::Tuple,
        ("builtins", "int" | "long") => F::Int,
        ("builtins", "float") => F::Float,
        ("builtins", "bool") => F::Bool,
        ("builtins", "str" | "unicode") => F::Str,
        ("builtins", "getattr") => F::GetAttribute,
        ("torch.torch_version", "TorchVersion") => F::TorchVersion,
        ("copyreg", "_reconstructor") => F::Reconstruct,
        ("copyreg", "__newobj__") => F::NewObject,
        ("copyreg", "__newobj_ex__") => F::NewObjectEx,
        _ => return None,
    };
    Some(function)
}

/// Functions that create NumPy arrays.
fn array_function(module: &str, name: &str) -> Option<Function> {
    match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Function::ArrayReconstruct),
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Some(Function::ArrayFromBuffer),
        ("numpy", "dtype") => Some(Function::ArrayType),
        _ => None,
    }
}

/// Whether `module.name` is inert: `Some(true)` for a class, `Some(false)` for a function.
fn inert(module: &str, name: &str) -> Option<bool> {
    let listed = match module {
        "numpy.core.multiarray" | "numpy._core.multiarray" => {
            return if matches!(name, "scalar" | "_reconstruct") { Some(false) } else { None };
        }
        "numpy.core.numeric" | "numpy._core.numeric" => {
            return if name == "_frombuffer" { Some(false) } else { None };
        }
        "numpy" => matches!(name, "ndarray" | "dtype"),
        "argparse" => name == "Namespace",
        "datetime" => matches!(name, "datetime" | "date" | "time" | "timedelta" | "timezone"),
        "pathlib" => {
            matches!(name, "Path" | "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath")
        }
        "collections" => name == "deque",
        "builtins" => matches!(name, "slice" | "range" | "xrange" | "object"),
        "addict.addict" => name == "Dict",
        "mmcv.utils.config" | "mmengine.config.config" => matches!(name, "Config" | "ConfigDict"),
        "mmengine.logging.history_buffer" => name == "HistoryBuffer",
        _ => false,
    };
    if listed { Some(true) } else { None }
}

/// Whether `module.name` is a public attribute of an inert class, such as `HistoryBuffer.mean`. Protocol 2 writes it as a
/// call of `getattr`, which is allowed, too.
fn is_inert_attribute(module: &str, name: &str) -> bool {
    let Some((class, attribute)) = name.split_once('.') else { return false };
    let plain = attribute.starts_with(|first: char| first.is_ascii_alphabetic())
        && attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && inert(module, class) == Some(true)
}

fn torchscript(module: &str, name: &str) -> Option<GlobalKind> {
    let class = (module == "__torch__" || module.starts_with("__torch__.")) && !name.is_empty() && !name.contains('.');
    if class {
        return Some(GlobalKind::TorchScriptClass);
    }
    let function = match (module, name) {
        ("torch.jit._pickle", "build_intlist" | "build_tensorlist" | "build_doublelist" | "build_boollist") => {
            Function::TypedList
        }
        ("torch.jit._pickle", "restore_type_tag") => Function::RestoreTypeTag,
        _ => return None,
    };
    Some(GlobalKind::Function(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: AllowList<'_> =
        AllowList { inert: &[], unknown: UnknownClasses::Refuse, torchscript: false, arrays: false };

    #[test]
    fn names_are_exact() {
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("builtins", "getattr.x"),
            ("torch", "load"),
            ("torch", "nn.Module"),
            ("torch.storage", "TypedStorage"),
            ("torch.cuda", "UntypedStorage"),
            ("torch.cuda", "float32"),
            ("collections.OrderedDict", ""),
            ("collections", "OrderedDict "),
            ("__torch__", "Net"),
            ("numpy.core.multiarray", "ndarray"),
        ] {
            assert_eq!(PLAIN.find(module, name), None, "{module}.{name}");
        }
        assert_eq!(PLAIN.find("torch", "float16"), Some(GlobalKind::Dtype(Dtype::Float16)));
        assert_eq!(PLAIN.find("torch.cuda", "HalfStorage"), Some(GlobalKind::Storage(Some(Dtype::Float16))));
        assert_eq!(PLAIN.find("torch.storage", "UntypedStorage"), Some(GlobalKind::Storage(None)));
        assert_eq!(PLAIN.find("builtins", "xrange"), Some(GlobalKind::Inert(true)));
    }

    #[test]
    fn lists_depend_on_the_format_and_the_options() {
        let script = AllowList { torchscript: true, ..PLAIN };
        assert_eq!(script.find("__torch__.torch.nn", "Conv2d"), Some(GlobalKind::TorchScriptClass));
        assert_eq!(script.find("__torch__evil", "Conv2d"), None);
        assert_eq!(script.find("__torch__", "a.b"), None);
        let added = [("mine".to_owned(), "Thing".to_owned())];
        assert_eq!(AllowList { inert: &added, ..PLAIN }.find("mine", "Thing"), Some(GlobalKind::Inert(true)));
        assert_eq!(AllowList { inert: &added, ..PLAIN }.find("mine", "Other"), None);
        let opaque = AllowList { unknown: UnknownClasses::Opaque, ..PLAIN };
        assert_eq!(opaque.find("os", "system"), Some(GlobalKind::Opaque));
        assert_eq!(opaque.find("argparse", "Namespace"), Some(GlobalKind::Inert(true)));
    }

    #[test]
    fn public_attributes_of_inert_classes_are_inert() {
        for (module, name, found) in [
            ("mmengine.logging.history_buffer", "HistoryBuffer.mean", Some(GlobalKind::Inert(false))),
            ("collections", "deque.append", Some(GlobalKind::Inert(false))),
            ("argparse", "Namespace.__init__", None),
            ("argparse", "Namespace.a.b", None),
            ("argparse", "Namespace.", None),
            ("collections", "OrderedDict.fromkeys", None),
            ("numpy.core.multiarray", "scalar.x", None),
        ] {
            assert_eq!(PLAIN.find(module, name), found, "{module}.{name}");
        }
    }
}
