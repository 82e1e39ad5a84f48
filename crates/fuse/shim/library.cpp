// Where oneDNN's functions are. libtorch contains oneDNN and does not export it, so that the dynamic linker does not find
// it; but the symbol table in its file, which debuggers use, still says where each function is. Using that copy
// means one thread pool, one set of kernels, and nothing to install.
#include "library.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

// A file in memory.
class Mapped {
public:
    explicit Mapped(const char* path) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) throw std::runtime_error(std::string("cannot open ") + path);
        struct stat status;
        if (fstat(file, &status) == 0) size_ = static_cast<size_t>(status.st_size);
        data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
        close(file);
        if (data_ == MAP_FAILED) throw std::runtime_error(std::string("cannot map ") + path);
    }
    ~Mapped() {
        munmap(data_, size_);
    }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    // `count` values of the type at `offset`.
    template <typename T>
    const T* at(size_t offset, size_t count = 1) const {
        if (offset > size_ || count > (size_ - offset) / sizeof(T)) throw std::runtime_error("a damaged ELF file");
        return reinterpret_cast<const T*>(static_cast<const char*>(data_) + offset);
    }

private:
    void* data_ = nullptr;
    size_t size_ = 0;
};

struct Loaded {
    std::string path;
    uintptr_t base = 0;
};

// The libtorch that this process runs.
Loaded libtorch() {
    Loaded found;
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* data) {
            std::string_view path = info->dlpi_name;
            if (path.ends_with("/libtorch_cpu.so")) *static_cast<Loaded*>(data) = {std::string(path), info->dlpi_addr};
            return 0;
        },
        &found);
    if (found.path.empty()) throw std::runtime_error("libtorch_cpu.so is not loaded");
    return found;
}

using Addresses = std::unordered_map<std::string_view, void**>;

// The offsets in a string table of the wanted names, each with where its address goes.
std::unordered_map<size_t, void**> wanted_names(const char* names, size_t size, const Addresses& wanted) {
    static constexpr char prefix[] = "\0dnnl_";
    std::unordered_map<size_t, void**> found;
    size_t position = 0;
    while (const void* hit = memmem(names + position, size - position, prefix, sizeof(prefix) - 1)) {
        size_t start = static_cast<size_t>(static_cast<const char*>(hit) - names) + 1;
        std::string_view name(names + start, strnlen(names + start, size - start));
        if (auto entry = wanted.find(name); entry != wanted.end()) found.emplace(start, entry->second);
        position = start;
    }
    return found;
}

// Fills the addresses from the symbol table of a loaded file.
void read_symbols(const Loaded& loaded, const Addresses& wanted) {
    Mapped file(loaded.path.c_str());
    const auto* header = file.at<Elf64_Ehdr>(0);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) throw std::runtime_error("libtorch_cpu.so is no ELF file");
    const auto* sections = file.at<Elf64_Shdr>(header->e_shoff, header->e_shnum);
    for (size_t index = 0; index < header->e_shnum; ++index) {
        const auto& section = sections[index];
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= header->e_shnum) continue;
        const auto& strings = sections[section.sh_link];
        auto names = wanted_names(file.at<char>(strings.sh_offset, strings.sh_size), strings.sh_size, wanted);
        size_t count = section.sh_size / sizeof(Elf64_Sym);
        const auto* symbols = file.at<Elf64_Sym>(section.sh_offset, count);
        for (size_t symbol = 0; symbol < count; ++symbol) {
            if (ELF64_ST_TYPE(symbols[symbol].st_info) != STT_FUNC || symbols[symbol].st_shndx == SHN_UNDEF) continue;
            auto entry = names.find(symbols[symbol].st_name);
            if (entry != names.end()) *entry->second = reinterpret_cast<void*>(loaded.base + symbols[symbol].st_value);
        }
    }
}

} // namespace

Library find_library() {
    Library library;
    Addresses wanted;
#define ENTER(name) wanted.emplace("dnnl_" #name, reinterpret_cast<void**>(&library.name));
    FOR_EACH_FUNCTION(ENTER)
#undef ENTER
    const char* given = getenv("MMCV_ONEDNN");
    if (given && *given) {
        void* handle = dlopen(given, RTLD_NOW | RTLD_LOCAL);
        if (!handle) throw std::runtime_error(std::string("MMCV_ONEDNN: ") + dlerror());
        for (auto& [name, address] : wanted) *address = dlsym(handle, std::string(name).c_str());
    } else {
        read_symbols(libtorch(), wanted);
    }
    for (const auto& [name, address] : wanted) {
        if (!*address) throw std::runtime_error("this libtorch has no " + std::string(name) + " in its symbol table");
    }
    if (library.version()->major != 3) throw std::runtime_error("oneDNN 3 is needed");
    return library;
}
