#include "group.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/MemoryOverlap.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/distributed/c10d/GlooDeviceFactory.hpp>
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/version.h>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include "mmcv-distributed/src/bridge.rs.h"

static_assert(
    TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 13,
    "mmcv-distributed uses classes of libtorch 2.13 that change with every version");
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBCXX__)
// What libtorch 2.13.0 allocates: the stand-ins for gloo's headers give the class the same layout.
static_assert(sizeof(c10d::ProcessGroupGloo) == 488, "the headers of gloo in shim/gloo do not fit this libtorch");
#endif

namespace mmcv_distributed {

namespace {

using std::chrono::milliseconds;

constexpr const char* kName = "0";

c10d::ReduceOp operation(Reduction reduction) {
    switch (reduction) {
        case Reduction::Sum: return c10d::ReduceOp::SUM;
        case Reduction::Product: return c10d::ReduceOp::PRODUCT;
        case Reduction::Min: return c10d::ReduceOp::MIN;
        case Reduction::Max: return c10d::ReduceOp::MAX;
        default: TORCH_CHECK(false, "no such reduction");
    }
}

// Gloo takes the memory of a tensor as it lies there, whatever its strides are.
at::Tensor flat(const at::Tensor& tensor) {
    return tensor.detach().contiguous();
}

void put_back(const at::Tensor& tensor, const at::Tensor& flat) {
    auto target = tensor.detach();
    if (!target.is_same_size(flat) || target.data_ptr() != flat.data_ptr()) target.copy_(flat);
}

c10::intrusive_ptr<c10d::ProcessGroupGloo::Options> gloo_options(const Meeting& meeting) {
    auto timeout = milliseconds(meeting.timeout_ms);
    // An empty address leaves the choice to libtorch, which knows GLOO_SOCKET_IFNAME.
    if (meeting.address.empty()) return c10d::ProcessGroupGloo::Options::create_default(timeout);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(c10d::GlooDeviceFactory::makeDeviceForHostname(std::string(meeting.address), false));
    return options;
}

c10::intrusive_ptr<c10d::Backend> gloo(
    const c10::intrusive_ptr<c10d::Store>& store, const Meeting& meeting, const char* prefix) {
    auto prefixed = c10::make_intrusive<c10d::PrefixStore>(prefix, store);
    auto backend = c10::make_intrusive<c10d::ProcessGroupGloo>(
        prefixed, static_cast<int>(meeting.rank), static_cast<int>(meeting.world_size), gloo_options(meeting));
    backend->setSequenceNumberForGroup();
    return backend;
}

void add_nccl(
    [[maybe_unused]] c10d::ProcessGroup& group,
    [[maybe_unused]] const c10::intrusive_ptr<c10d::Store>& store,
    [[maybe_unused]] const Meeting& meeting) {
#ifdef USE_C10D_NCCL
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = milliseconds(meeting.timeout_ms);
    auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("cuda/", store),
        static_cast<int>(meeting.rank), static_cast<int>(meeting.world_size), options);
    backend->setSequenceNumberForGroup();
    group.setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, backend);
#else
    TORCH_CHECK(false, "this program is built without NCCL: build it with the feature nccl");
#endif
}

} // namespace

void Store::set(rust::Str key, rust::Slice<const uint8_t> value) const {
    store_->set(text(key), std::vector<uint8_t>(value.begin(), value.end()));
}

rust::Vec<uint8_t> Store::get(rust::Str key) const {
    rust::Vec<uint8_t> bytes;
    if (!store_->check({text(key)})) return bytes;
    for (auto byte : store_->get(text(key))) bytes.push_back(byte);
    return bytes;
}

int64_t Store::add(rust::Str key, int64_t amount) const {
    return store_->add(text(key), amount);
}

std::unique_ptr<Store> open_store(const Meeting& meeting) {
    c10d::TCPStoreOptions options;
    options.port = meeting.port;
    options.isServer = meeting.serves;
    options.numWorkers = static_cast<size_t>(meeting.world_size);
    // Ranks that compare their calls wait for each other themselves, and can then name who is missing.
    options.waitWorkers = !meeting.compares;
    options.timeout = milliseconds(meeting.timeout_ms);
    if (meeting.serves && meeting.listener >= 0) options.masterListenFd = meeting.listener;
    auto store = c10::make_intrusive<c10d::TCPStore>(std::string(meeting.host), options);
    store->setTimeout(milliseconds(meeting.timeout_ms));
    return std::make_unique<Store>(store);
}

std::unique_ptr<Group> form_group(const Store& store, const Meeting& meeting) {
    auto base = c10::make_intrusive<c10d::PrefixStore>("0/", c10::make_intrusive<c10d::PrefixStore>("default_pg", store.native()));
    auto links = c10::make_intrusive<Links>();
    links->rank = meeting.rank;
    links->world_size = meeting.world_size;
    auto group = c10::make_intrusive<c10d::ProcessGroup>(
        base, static_cast<int>(meeting.rank), static_cast<int>(meeting.world_size));
    using Kind = c10d::ProcessGroup::BackendType;
    group->setDefaultBackend(Kind::GLOO);
    auto backend = gloo(base, meeting, "cpu/");
    group->setBackend(c10::DeviceType::CPU, Kind::GLOO, backend);
    if (meeting.nccl) {
        add_nccl(*group, base, meeting);
    } else if (at::hasCUDA()) {
        group->setBackend(c10::DeviceType::CUDA, Kind::GLOO, backend);
    }
    if (meeting.compares) links->side = gloo(base, meeting, "mmcv/");
    group->setGroupName(kName);
    group->setGroupDesc("default_pg");
    c10d::register_process_group(kName, group);
    links->group = std::move(group);
    return std::make_unique<Group>(std::move(links));
}

std::vector<int64_t> Links::exchange(const std::vector<int64_t>& numbers) {
    TORCH_CHECK(numbers.size() == kFingerprint, "a fingerprint has ", kFingerprint, " numbers, not ", numbers.size());
    auto all = gather(at::tensor(numbers, at::kLong));
    const auto* values = all.const_data_ptr<int64_t>();
    return {values, values + all.numel()};
}

at::Tensor Links::gather(const at::Tensor& tensor) {
    c10::NoGradGuard no_grad;
    auto input = tensor.contiguous().view({-1});
    auto output = at::empty({world_size * input.numel()}, input.options());
    run([&] { return beside(tensor) ? side->_allgather_base(output, input) : group->_allgather_base(output, input); });
    auto sizes = tensor.sizes().vec();
    sizes.insert(sizes.begin(), world_size);
    return output.view(sizes);
}

void Links::sum(at::Tensor tensor) {
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{std::move(tensor)};
    run([&] { return beside(tensors[0]) ? side->allreduce(tensors) : group->allreduce(tensors); });
}

Group::~Group() {
    try {
        c10d::unregister_process_group(kName);
    } catch (...) {
        // Another group took its name: nothing to do.
    }
}

rust::Vec<int64_t> Group::exchange(rust::Slice<const int64_t> numbers) const {
    rust::Vec<int64_t> all;
    for (auto number : links_->exchange({numbers.begin(), numbers.end()})) all.push_back(number);
    return all;
}

void Group::all_reduce(const at::Tensor& tensor, Reduction reduction) const {
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{flat(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = operation(reduction);
    links_->run([&] { return links_->group->allreduce(tensors, options); });
    put_back(tensor, tensors[0]);
}

void Group::reduce(const at::Tensor& tensor, int64_t root, Reduction reduction) const {
    c10::NoGradGuard no_grad;
    bool receives = links_->rank == root;
    // Gloo uses the tensors of the others as scratch memory.
    std::vector<at::Tensor> tensors{receives ? flat(tensor) : flat(tensor).clone()};
    c10d::ReduceOptions options;
    options.reduceOp = operation(reduction);
    options.rootRank = root;
    links_->run([&] { return links_->group->reduce(tensors, options); });
    if (receives) put_back(tensor, tensors[0]);
}

void Group::broadcast(const at::Tensor& tensor, int64_t root) const {
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{flat(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    links_->run([&] { return links_->group->broadcast(tensors, options); });
    if (links_->rank != root) put_back(tensor, tensors[0]);
}

std::unique_ptr<at::Tensor> Group::all_gather(const at::Tensor& tensor) const {
    c10::NoGradGuard no_grad;
    auto input = flat(tensor).view({-1});
    auto output = at::empty({links_->world_size * input.numel()}, input.options());
    if (input.numel() > 0) links_->run([&] { return links_->group->_allgather_base(output, input); });
    auto sizes = tensor.sizes().vec();
    sizes.insert(sizes.begin(), links_->world_size);
    return std::make_unique<at::Tensor>(output.view(sizes));
}

void Group::broadcast_all(rust::Slice<const TensorRef> tensors, int64_t root) const {
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> all;
    for (const auto& one : tensors) all.push_back(one.tensor.detach());
    c10d::broadcast_coalesced(links_->group, all, size_t{250} << 20, static_cast<int>(root));
}

void Group::barrier() const {
    c10d::BarrierOptions options;
    options.device = at::Device(at::kCPU);
    links_->run([&] { return links_->group->getBackend(c10::DeviceType::CPU)->barrier(options); });
}

void Group::monitored_barrier(uint64_t timeout) const {
    c10d::BarrierOptions options;
    options.timeout = milliseconds(timeout);
    links_->group->getBackend(c10::DeviceType::CPU)->monitoredBarrier(options, true);
}

rust::String refusal(const at::Tensor& tensor) {
    if (!tensor.defined()) return "an undefined tensor";
    if (tensor.layout() != at::kStrided) return "a tensor that is not dense";
    if (!tensor.is_cpu() && !tensor.is_cuda()) return "a tensor on a device other than a CPU or CUDA";
    if (tensor.is_quantized()) return "a quantized tensor";
    if (tensor.is_conj() || tensor.is_neg()) return "a conjugate or negative view: give a copy";
    if (tensor.dim() > 10) return "a tensor of more than 10 dimensions";
    if (at::has_internal_overlap(tensor) == at::MemOverlap::Yes) return "an expanded tensor, whose elements share memory: give a copy";
    return "";
}

} // namespace mmcv_distributed
