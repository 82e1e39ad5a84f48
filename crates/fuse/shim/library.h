// The functions of oneDNN that are used, by their names in its C API (3.x).
#pragma once

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#define FOR_EACH_FUNCTION(DO)                    \
    DO(version)                                  \
    DO(get_effective_cpu_isa)                    \
    DO(status2str)                               \
    DO(engine_create)                            \
    DO(stream_create)                            \
    DO(stream_wait)                              \
    DO(memory_desc_create_with_tag)              \
    DO(memory_desc_create_with_strides)          \
    DO(memory_desc_create_submemory)             \
    DO(memory_desc_clone)                        \
    DO(memory_desc_destroy)                      \
    DO(memory_desc_equal)                        \
    DO(memory_desc_get_size)                     \
    DO(memory_desc_query)                        \
    DO(memory_create)                            \
    DO(memory_destroy)                           \
    DO(memory_set_data_handle)                   \
    DO(primitive_attr_create)                    \
    DO(primitive_attr_destroy)                   \
    DO(primitive_attr_set_post_ops)              \
    DO(primitive_attr_set_scales_mask)           \
    DO(primitive_attr_set_scratchpad_mode)       \
    DO(primitive_attr_set_zero_points_mask)      \
    DO(post_ops_create)                          \
    DO(post_ops_destroy)                         \
    DO(post_ops_append_sum)                      \
    DO(post_ops_append_eltwise)                  \
    DO(post_ops_append_binary)                   \
    DO(primitive_desc_destroy)                   \
    DO(primitive_desc_query)                     \
    DO(primitive_desc_query_md)                  \
    DO(primitive_create)                         \
    DO(primitive_destroy)                        \
    DO(primitive_execute)                        \
    DO(convolution_forward_primitive_desc_create) \
    DO(deconvolution_forward_primitive_desc_create) \
    DO(pooling_forward_primitive_desc_create)    \
    DO(eltwise_forward_primitive_desc_create)    \
    DO(binary_primitive_desc_create)             \
    DO(concat_primitive_desc_create)             \
    DO(resampling_forward_primitive_desc_create) \
    DO(inner_product_forward_primitive_desc_create) \
    DO(reorder_primitive_desc_create)

namespace mmcv_fuse {

// oneDNN's functions.
struct Library {
#define MEMBER(name) decltype(&::dnnl_##name) name = nullptr;
    FOR_EACH_FUNCTION(MEMBER)
#undef MEMBER
};

// Finds the functions: in the file that the variable MMCV_ONEDNN names, else in libtorch itself. Throws if there are none.
Library find_library();

} // namespace mmcv_fuse
