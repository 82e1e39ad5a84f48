// A tensor's memory, before anything reads it.
#include "shim.h"

#include <ATen/Functions.h>
#include <c10/core/DispatchKeySet.h>

#include <unistd.h>

namespace mmcv_fuse {

namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;

bool has_nothing_but(DispatchKeySet keys, std::initializer_list<DispatchKey> allowed) {
    keys = keys - c10::autocast_dispatch_keyset;
    for (auto key : allowed) keys = keys.remove(key);
    return keys.highestFunctionalityKey() == DispatchKey::Undefined;
}

const char* kind_of(const at::Tensor& tensor) {
    auto keys = tensor.key_set();
    if (tensor.is_meta()) return "a meta tensor, which has no elements";
    if (keys.has(DispatchKey::Quantized) || tensor.is_quantized()) return "a quantized tensor";
    if (tensor.is_mkldnn()) return "a tensor in oneDNN's layout (mkldnn)";
    if (tensor.is_sparse()) return "a sparse tensor";
    if (keys.has(DispatchKey::SparseCsr)) return "a sparse tensor";
    if (tensor.is_nested()) return "a nested tensor";
    return "a tensor that stands for others (of a subclass, or one that is traced)";
}

} // namespace

bool is_backed(const at::Tensor& tensor) {
    if (tensor.numel() == 0) return true;
    if (!tensor.has_storage() || !tensor.storage().data()) return false;
    int64_t last = tensor.storage_offset();
    for (int64_t axis = 0; axis < tensor.dim(); ++axis) last += (tensor.size(axis) - 1) * tensor.stride(axis);
    return last >= 0 && (static_cast<size_t>(last) + 1) * tensor.element_size() <= tensor.storage().nbytes();
}

size_t storage(const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.has_storage()) return 0;
    return reinterpret_cast<size_t>(tensor.storage().unsafeGetStorageImpl());
}

std::unique_ptr<at::Tensor> plain(const at::Tensor& tensor) {
    TORCH_CHECK(tensor.defined(), "an undefined tensor");
    auto keys = tensor.key_set();
    auto usual = {DispatchKey::Dense, DispatchKey::ADInplaceOrView, DispatchKey::AutogradFunctionality};
    auto views = {
        DispatchKey::Dense, DispatchKey::ADInplaceOrView, DispatchKey::AutogradFunctionality,
        DispatchKey::Conjugate, DispatchKey::Negative, DispatchKey::ZeroTensor};
    if (!has_nothing_but(keys, views) || !keys.has(DispatchKey::Dense) || tensor.is_meta()) {
        TORCH_CHECK(false, kind_of(tensor));
    }
    if (has_nothing_but(keys, usual)) {
        TORCH_CHECK(is_backed(tensor), "a tensor whose memory is gone or too short");
        return nullptr;
    }
    auto plain = tensor._is_zerotensor() ? at::zeros(tensor.sizes(), tensor.options())
                                         : tensor.resolve_conj().resolve_neg();
    return std::make_unique<at::Tensor>(std::move(plain));
}

bool is_moderate(const at::Tensor& tensor) {
    constexpr uint32_t kMagnitude = 0x7fffffff;
    constexpr uint32_t kLimit = (127u + 63u) << 23;
    bool readable = tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous() && is_backed(tensor);
    if (!readable || tensor.numel() == 0) return true;
    const auto* bits = static_cast<const uint32_t*>(tensor.const_data_ptr());
    size_t count = static_cast<size_t>(tensor.numel());
    uint32_t found = 0;
    for (size_t index = 0; index < count; ++index) {
        // Negative, as a signed number, if the magnitude is the limit or more.
        found |= (kLimit - 1) - (bits[index] & kMagnitude);
    }
    return (found >> 31) == 0;
}

uint64_t memory() {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) : 0;
}

} // namespace mmcv_fuse
