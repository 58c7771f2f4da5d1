// A directory for one test's files, gone when the test ends.
#ifndef HALPOOL_TESTS_CLI_SCRATCH_DIRECTORY_HPP
#define HALPOOL_TESTS_CLI_SCRATCH_DIRECTORY_HPP

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

namespace halpool_test {

class ScratchDirectory {
public:
    ScratchDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "halpool-test-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary directory can be made");
        path_ = name;
    }
    ScratchDirectory(const ScratchDirectory &) = delete;
    ScratchDirectory &operator=(const ScratchDirectory &) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    std::string path(const std::string &name) const { return (path_ / name).string(); }
    std::string path() const { return path_.string(); }

    // Returns the file's path.
    std::string write(const std::string &name, const std::string &contents) const {
        std::ofstream(path(name), std::ios::binary) << contents;
        return path(name);
    }

    std::string read(const std::string &name) const {
        std::ifstream file(path(name), std::ios::binary);
        if (!file) throw std::runtime_error(name + " cannot be read");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::set<std::string> names() const {
        std::set<std::string> all;
        for (const auto &entry : std::filesystem::directory_iterator(path_))
            all.insert(entry.path().filename().string());
        return all;
    }

private:
    std::filesystem::path path_;
};

}  // namespace halpool_test

#endif
