// Whole files in and out of memory. Every failure is a std::runtime_error that names the file and the cause.
#ifndef HALPOOL_TOOLS_WHOLE_FILE_HPP
#define HALPOOL_TOOLS_WHOLE_FILE_HPP

#include <string>
#include <vector>

namespace halpool::cli {

// Regular files only: the size is known before anything is allocated.
std::vector<unsigned char> read_file(const std::string &path);

// A file's new contents, kept beside it until commit() puts them in its place, so that a failure leaves the old
// file as it was and nothing half-written. What is no regular file (a pipe, a device) is written in place.
class ReplacementFile {
public:
    ReplacementFile(std::string path, const std::vector<unsigned char> &contents);
    ReplacementFile(ReplacementFile &&other) noexcept;
    ReplacementFile(const ReplacementFile &) = delete;
    ReplacementFile &operator=(const ReplacementFile &) = delete;
    ReplacementFile &operator=(ReplacementFile &&) = delete;
    ~ReplacementFile();

    void commit();

private:
    std::string path_;       // as the user named it
    std::string target_;     // what path_ leads to
    std::string temporary_;  // empty: nothing to rename or remove
};

}  // namespace halpool::cli

#endif
