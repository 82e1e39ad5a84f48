// The store at which processes meet, the group that they form, and its collectives.
#pragma once

#include "shim.h"

#include <mutex>
#include <vector>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace mmcv_distributed {

// The key-value store of rank 0, or of torchrun's agent.
class Store {
public:
    explicit Store(c10::intrusive_ptr<c10d::Store> store) : store_(std::move(store)) {}
    void set(rust::Str key, rust::Slice<const uint8_t> value) const;
    // Empty if the key is not there; does not wait for it.
    rust::Vec<uint8_t> get(rust::Str key) const;
    // The number under the key after `amount` is added to it; it starts at 0.
    int64_t add(rust::Str key, int64_t amount) const;
    const c10::intrusive_ptr<c10d::Store>& native() const {
        return store_;
    }

private:
    c10::intrusive_ptr<c10d::Store> store_;
};

// How many numbers ranks exchange before a collective.
constexpr size_t kFingerprint = 16;

// The connections of a group: those of the process group that c10d's reducer uses, and others beside it for fingerprints and
// SyncBN. The two kinds cannot take each other's messages if gradients become ready in another order on another rank.
class Links final : public torch::CustomClassHolder {
public:
    c10::intrusive_ptr<c10d::ProcessGroup> group;
    // Null if the ranks do not compare their calls.
    c10::intrusive_ptr<c10d::Backend> side;
    int64_t rank = 0;
    int64_t world_size = 1;

    // What every rank sends, in the order of the ranks; each sends `kFingerprint` numbers.
    std::vector<int64_t> exchange(const std::vector<int64_t>& numbers);
    // The contiguous tensors of all ranks, one after the other: `[world_size, ...]`.
    at::Tensor gather(const at::Tensor& tensor);
    // Adds up a contiguous tensor in place.
    void sum(at::Tensor tensor);
    // Starts a collective under the lock, and waits for its end.
    template <typename Start>
    void run(Start&& start) {
        c10::intrusive_ptr<c10d::Work> work;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work = start();
        }
        TORCH_CHECK(work && work->wait(), "the collective was aborted");
    }

private:
    bool beside(const at::Tensor& tensor) const {
        return side && tensor.is_cpu();
    }
    // Held while a collective starts: c10d counts them without a lock.
    std::mutex mutex_;
};

class Group {
public:
    explicit Group(c10::intrusive_ptr<Links> links) : links_(std::move(links)) {}
    ~Group();
    rust::Vec<int64_t> exchange(rust::Slice<const int64_t> numbers) const;
    void all_reduce(const at::Tensor& tensor, Reduction reduction) const;
    void reduce(const at::Tensor& tensor, int64_t root, Reduction reduction) const;
    void broadcast(const at::Tensor& tensor, int64_t root) const;
    std::unique_ptr<at::Tensor> all_gather(const at::Tensor& tensor) const;
    void broadcast_all(rust::Slice<const TensorRef> tensors, int64_t root) const;
    void barrier() const;
    void monitored_barrier(uint64_t milliseconds) const;
    const c10::intrusive_ptr<Links>& links() const {
        return links_;
    }

private:
    c10::intrusive_ptr<Links> links_;
};

std::unique_ptr<Store> open_store(const Meeting& meeting);
std::unique_ptr<Group> form_group(const Store& store, const Meeting& meeting);

// Why a tensor cannot take part in a collective; empty if it can.
rust::String refusal(const at::Tensor& tensor);

} // namespace mmcv_distributed
