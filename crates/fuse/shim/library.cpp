// Where oneDNN's functions are. libtorch contains oneDNN and does not export it, so that the dynamic linker does not find
// it; but the symbol table in its file, which debuggers use, still says where each function is. Using that copy
// means one thread pool, one set of kernels, and nothing to install.
#include "library.h"

#include "onednn.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace mmcv_fuse {

namespace {

// A file, read in pieces on demand: another program may cut it meanwhile, which would end this process if it were mapped.
class File {
public:
    explicit File(const std::string& path) : path_(path), file_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
        if (file_ < 0) throw std::runtime_error("cannot open " + path);
        if (fstat(file_, &status_) != 0 || !S_ISREG(status_.st_mode)) {
            close(file_);
            throw std::runtime_error(path + " is no file");
        }
    }
    ~File() {
        close(file_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    // `count` values of the type at `offset`.
    template <typename T>
    std::vector<T> at(size_t offset, size_t count = 1) const {
        std::vector<T> values;
        read(offset, count, values);
        return values;
    }
    // The same into `values`, whose memory is used again.
    template <typename T>
    void read(size_t offset, size_t count, std::vector<T>& values) const {
        auto size = static_cast<size_t>(status_.st_size);
        if (offset > size || count > (size - offset) / sizeof(T)) throw std::runtime_error(path_ + " is damaged");
        values.resize(count);
        auto* bytes = reinterpret_cast<char*>(values.data());
        for (size_t done = 0; done < count * sizeof(T);) {
            ssize_t more = pread(file_, bytes + done, count * sizeof(T) - done, static_cast<off_t>(offset + done));
            if (more <= 0) throw std::runtime_error("cannot read " + path_);
            done += static_cast<size_t>(more);
        }
    }
    Elf64_Ehdr header() const {
        auto header = at<Elf64_Ehdr>(0).front();
        bool elf = memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64;
        if (!elf || header.e_phentsize != sizeof(Elf64_Phdr)) throw std::runtime_error(path_ + " is no ELF file");
        return header;
    }
    const struct stat& status() const {
        return status_;
    }

private:
    std::string path_;
    int file_;
    struct stat status_ = {};
};

// The number that the linker gave a library (NT_GNU_BUILD_ID), among these notes; empty if there is none.
std::string build_id(const char* notes, size_t size) {
    while (size >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, notes, sizeof(note));
        size_t name = (size_t{note.n_namesz} + 3) / 4 * 4;
        size_t whole = sizeof(note) + name + (size_t{note.n_descsz} + 3) / 4 * 4;
        if (whole > size) break;
        const char* text = notes + sizeof(note);
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(text, "GNU", 4) == 0) {
            return std::string(text + name, note.n_descsz);
        }
        notes += whole;
        size -= whole;
    }
    return "";
}

std::string build_id(const File& file) {
    auto header = file.header();
    for (const auto& segment : file.at<Elf64_Phdr>(header.e_phoff, header.e_phnum)) {
        if (segment.p_type != PT_NOTE) continue;
        auto notes = file.at<char>(segment.p_offset, segment.p_filesz);
        if (auto found = build_id(notes.data(), notes.size()); !found.empty()) return found;
    }
    return "";
}

// A library that this process runs.
struct Loaded {
    std::string path;
    uintptr_t base = 0;
    // Somewhere in its code.
    uintptr_t code = 0;
    std::string build_id;
};

int visit_library(dl_phdr_info* info, size_t, void* data) {
    std::string_view path = info->dlpi_name;
    if (!path.ends_with("/libtorch_cpu.so")) return 0;
    Loaded found{std::string(path), info->dlpi_addr, 0, ""};
    for (size_t index = 0; index < info->dlpi_phnum; ++index) {
        const auto& segment = info->dlpi_phdr[index];
        uintptr_t start = info->dlpi_addr + segment.p_vaddr;
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X)) found.code = start;
        if (segment.p_type != PT_NOTE || !found.build_id.empty()) continue;
        found.build_id = build_id(reinterpret_cast<const char*>(start), segment.p_memsz);
    }
    *static_cast<Loaded*>(data) = std::move(found);
    return 0;
}

// The libtorch that this process runs.
Loaded libtorch() {
    Loaded found;
    dl_iterate_phdr(&visit_library, &found);
    if (found.path.empty()) throw std::runtime_error("libtorch_cpu.so is not loaded");
    return found;
}

// Whether the memory at `address` is mapped from this file, by device and inode.
bool is_mapped_from(uintptr_t address, const struct stat& status) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        unsigned long start, end, offset, inode;
        unsigned int major_number, minor_number;
        char rights[8];
        int fields = sscanf(
            line.c_str(), "%lx-%lx %7s %lx %x:%x %lu", &start, &end, rights, &offset, &major_number, &minor_number, &inode);
        if (fields != 7 || address < start || address >= end) continue;
        return makedev(major_number, minor_number) == status.st_dev && inode == status.st_ino;
    }
    return false;
}

// Throws if the file is not the one from which the library was loaded: its addresses would be those of other functions.
void check_same(const Loaded& loaded, const File& file, const std::string& path) {
    bool same = loaded.build_id.empty() ? is_mapped_from(loaded.code, file.status()) : build_id(file) == loaded.build_id;
    if (!same) {
        throw std::runtime_error(
            path + " is not the file any more that this process was started with (replaced by another version?): start it again");
    }
}

using Addresses = std::unordered_map<std::string_view, void**>;

// The tables of a file are large (76 MB of names in libtorch), and are read in pieces of this many bytes.
constexpr size_t kPiece = 1 << 20;

// The offsets in a string table of the wanted names, each with where its address goes.
std::unordered_map<size_t, void**> wanted_names(const File& file, const Elf64_Shdr& table, const Addresses& wanted) {
    static constexpr char prefix[] = "\0dnnl_";
    // Between two zeros.
    size_t longest = 0;
    for (const auto& [name, address] : wanted) longest = std::max(longest, name.size() + 2);
    std::unordered_map<size_t, void**> found;
    std::vector<char> piece;
    for (size_t start = 0; start < table.sh_size; start += kPiece - longest) {
        file.read(table.sh_offset + start, std::min(kPiece, table.sh_size - start), piece);
        size_t position = 0;
        while (const void* hit = memmem(piece.data() + position, piece.size() - position, prefix, sizeof(prefix) - 1)) {
            position = static_cast<size_t>(static_cast<const char*>(hit) - piece.data()) + 1;
            std::string_view name(piece.data() + position, strnlen(piece.data() + position, piece.size() - position));
            // A name that is cut is whole in the next piece.
            if (position + name.size() == piece.size()) break;
            if (auto entry = wanted.find(name); entry != wanted.end()) found.emplace(start + position, entry->second);
        }
        if (start + piece.size() == table.sh_size) break;
    }
    return found;
}

// Fills the addresses from the symbol table of a loaded file.
void read_symbols(const Loaded& loaded, const Addresses& wanted) {
    File file(loaded.path);
    check_same(loaded, file, loaded.path);
    auto header = file.header();
    auto sections = file.at<Elf64_Shdr>(header.e_shoff, header.e_shnum);
    for (const auto& section : sections) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
        auto names = wanted_names(file, sections[section.sh_link], wanted);
        size_t count = section.sh_size / sizeof(Elf64_Sym);
        std::vector<Elf64_Sym> piece;
        for (size_t start = 0; start < count; start += piece.size()) {
            file.read(section.sh_offset + start * sizeof(Elf64_Sym), std::min(kPiece / sizeof(Elf64_Sym), count - start), piece);
            for (const auto& symbol : piece) {
                if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
                auto entry = names.find(symbol.st_name);
                if (entry != names.end()) *entry->second = reinterpret_cast<void*>(loaded.base + symbol.st_value);
            }
        }
    }
}

// Fills the addresses from the library that the user names.
void read_library(const char* path, const Addresses& wanted) {
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw std::runtime_error(dlerror());
    for (auto& [name, address] : wanted) *address = dlsym(handle, std::string(name).c_str());
}

} // namespace

Library find_library() {
    Library library;
    Addresses wanted;
#define ENTER(name) wanted.emplace("dnnl_" #name, reinterpret_cast<void**>(&library.name));
    FOR_EACH_FUNCTION(ENTER)
#undef ENTER
    const char* given = getenv("MMCV_ONEDNN");
    if (given && !*given) given = nullptr;
    const std::string where = given ? std::string("MMCV_ONEDNN (") + given + "): " : "";
    try {
        given ? read_library(given, wanted) : read_symbols(libtorch(), wanted);
        for (const auto& [name, address] : wanted) {
            std::string what = given ? "it has no " : "this libtorch has in its symbol table no ";
            if (!*address) throw std::runtime_error(what + std::string(name));
        }
        if (library.version()->major != 3) throw std::runtime_error("oneDNN 3 is needed");
    } catch (const std::exception& error) {
        throw std::runtime_error(where + error.what());
    }
    return library;
}

void check_libtorch_file(rust::Str path) {
    check_same(libtorch(), File(text(path)), text(path));
}

} // namespace mmcv_fuse
