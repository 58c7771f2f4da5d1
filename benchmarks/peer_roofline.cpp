// The bound of the benchmark: what moving the data alone costs, by the fastest way to read the input's bytes and
// write the output's. Compiled for the machine that builds it (-march=native).
//   peer_roofline --threads N
#include "peer.hpp"

#include <cstring>

#include <omp.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr std::size_t vector_bytes = 64;
#elif defined(__AVX__)
constexpr std::size_t vector_bytes = 32;
#else
constexpr std::size_t vector_bytes = 16;
#endif
using Vector = std::uint32_t __attribute__((vector_size(vector_bytes)));

void store(char *to, Vector value) { *reinterpret_cast<Vector *>(to) = value; }

void stream(char *to, Vector value) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i *>(to), reinterpret_cast<__m512i>(value));
#elif defined(__AVX__)
    _mm256_stream_si256(reinterpret_cast<__m256i *>(to), reinterpret_cast<__m256i>(value));
#elif defined(__SSE2__)
    _mm_stream_si128(reinterpret_cast<__m128i *>(to), reinterpret_cast<__m128i>(value));
#else
    store(to, value);
#endif
}

// The bytes [begin, end) that chunk `index` of `chunks` covers, in whole cache lines.
struct Span {
    std::size_t begin, end;
    Span(std::size_t bytes, std::size_t index, std::size_t chunks)
        : begin(bytes / 64 * index / chunks * 64), end(bytes / 64 * (index + 1) / chunks * 64) {}
};

// Reads and writes in turn, a page of the larger side at a time. What is written depends on what was read, or the
// compiler would drop the reads.
template <void (*Write)(char *, Vector)>
void move(const char *input, std::size_t input_bytes, char *output, std::size_t output_bytes) {
    constexpr std::size_t accumulators = 8, step = accumulators * vector_bytes;
    Vector sums[accumulators] = {};
    const std::size_t chunks = std::max<std::size_t>(std::max(input_bytes, output_bytes) / 4096, 1);
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        const Span read(input_bytes, chunk, chunks), written(output_bytes, chunk, chunks);
        std::size_t i = read.begin;
        for (; i + step <= read.end; i += step) {
            __builtin_prefetch(input + i + 2048);
            for (std::size_t j = 0; j < accumulators; ++j)
                sums[j] += *reinterpret_cast<const Vector *>(input + i + j * vector_bytes);
        }
        for (; i < read.end; i += vector_bytes) sums[0] += *reinterpret_cast<const Vector *>(input + i);
        std::size_t o = written.begin;
        for (; o + step <= written.end; o += step)
            for (std::size_t j = 0; j < accumulators; ++j) Write(output + o + j * vector_bytes, sums[j]);
        for (; o < written.end; o += vector_bytes) Write(output + o, sums[0]);
    }
#if defined(__SSE2__)
    _mm_sfence();
#endif
    for (Vector &sum : sums) asm volatile("" ::"m"(sum));
}

}  // namespace

int main(int argc, char **argv) {
    const int threads = argc == 3 ? std::stoi(argv[2]) : 1;

    // A share for each thread; with one thread, no OpenMP.
    const auto shared = [](int count, auto task) {
        return [count, task] {
            if (count == 1) return task(0, 1);
#pragma omp parallel num_threads(count)
            task(static_cast<std::size_t>(omp_get_thread_num()), static_cast<std::size_t>(count));
        };
    };

    const auto plan = [&](const bench::Workload &w, const void *input, void *output) {
        const char *from = static_cast<const char *>(input);
        char *to = static_cast<char *>(output);
        // Whole cache lines: the buffers have the room.
        const auto whole = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
        const std::size_t read = whole(w.input_bytes()), written = whole(w.output_bytes());

        const auto moving = [=](auto move_share) {
            return [=](std::size_t index, std::size_t parts) {
                const Span r(read, index, parts), o(written, index, parts);
                move_share(from + r.begin, r.end - r.begin, to + o.begin, o.end - o.begin);
            };
        };
        // memcpy reads what it writes: half of the bytes that are moved.
        const auto copying = [=](std::size_t index, std::size_t parts) {
            const Span s((read + written) / 2, index, parts);
            std::memcpy(to + s.begin, from + s.begin, s.end - s.begin);
            asm volatile("" ::: "memory");
        };
        std::vector<bench::Operation> ways;
        // A few kilobytes one thread moves sooner than it wakes another.
        for (const int count : threads == 1 ? std::vector{1} : std::vector{1, threads}) {
            const std::string with = count == 1 ? "" : "_by_" + std::to_string(count);
            ways.push_back({"memcpy" + with, shared(count, copying)});
            ways.push_back({"copy" + with, shared(count, moving(move<store>))});
            ways.push_back({"streaming_copy" + with, shared(count, moving(move<stream>))});
        }
        return ways;
    };
    return bench::Peer(plan).serve();
}
