#include "gathered_call.hpp"

#include <algorithm>
#include <cstdlib>

namespace halpool {
namespace {

// Lines of memory that are written side by side, where what is read lies across them: as many as stay in the first-level cache.
constexpr std::int64_t kBlockLines = 16;

template <class Word>
void copy_line(const Word *from, std::int64_t step, std::int64_t count, Word *to) {
    if (step == 1) {
        std::copy_n(from, count, to);
    } else if (step == 0) {
        std::fill_n(to, count, *from);
    } else {
        for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * step];
    }
}

// `lines` of `count` words that lie `pitch` apart; from: where the first comes from, and the steps to the next line, and the next word.
template <class Word>
void copy_lines(const Word *from, std::int64_t line_step, std::int64_t step, std::int64_t lines, std::int64_t count, Word *to, std::int64_t pitch) {
    if (std::abs(step) <= std::abs(line_step) || line_step == 0) {
        for (std::int64_t line = 0; line < lines; ++line) copy_line(from + line * line_step, step, count, to + line * pitch);
        return;
    }
    for (std::int64_t begin = 0; begin < lines; begin += kBlockLines) {
        const std::int64_t end = std::min(begin + kBlockLines, lines);
        for (std::int64_t i = 0; i < count; ++i) {
            for (std::int64_t line = begin; line < end; ++line) to[line * pitch + i] = from[line * line_step + i * step];
        }
    }
}

}  // namespace

void GatheredCall::stage(const void *input, const Rows &rows, void *to) const {
    switch (element_bytes()) {
    case 1: gather<std::uint8_t>(input, rows, to); break;
    case 2: gather<std::uint16_t>(input, rows, to); break;
    case 4: gather<std::uint32_t>(input, rows, to); break;
    default: gather<std::uint64_t>(input, rows, to); break;
    }
}

template <class Word>
void GatheredCall::gather(const void *input, const Rows &rows, void *to) const {
    const auto *const from = static_cast<const Word *>(input) + rows.begin * strides_[2];
    auto *const into = static_cast<Word *>(to);
    if (!nhwc()) {
        const std::int64_t plane = rows.outer / channels() * strides_[0] + rows.outer % channels() * strides_[1];
        copy_lines(from + plane, strides_[2], strides_[3], rows.end - rows.begin, width(), into, width());
        return;
    }
    const Word *const channel = from + rows.outer * strides_[0] + rows.channel_begin * strides_[1];
    for (std::int64_t row = 0; row < rows.end - rows.begin; ++row) {
        copy_lines(channel + row * strides_[2], strides_[3], strides_[1], width(), rows.channel_end - rows.channel_begin,
                   into + row * width() * pixel() + rows.channel_begin, pixel());
    }
}

}  // namespace halpool
