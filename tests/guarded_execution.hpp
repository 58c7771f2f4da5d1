// One execution of a plan on guarded memory of the plan's own device: host memory between inaccessible pages; or
// halpool_memory, with NaN around the input and canaries around the output.
#ifndef HALPOOL_TESTS_GUARDED_EXECUTION_HPP
#define HALPOOL_TESTS_GUARDED_EXECUTION_HPP

#include "canary_output.hpp"
#include "guarded_memory.hpp"

#include <halpool/halpool.h>

#include <cstring>
#include <memory>
#include <vector>

namespace halpool_test {

struct DestroyMemory {
    void operator()(halpool_memory *memory) const noexcept { halpool_memory_destroy(memory); }
};
using MemoryPtr = std::unique_ptr<halpool_memory, DestroyMemory>;

class GuardedExecution {
public:
    // fill(first) writes the input's elements; `first` is its element [0, 0, 0, 0].
    template <class T, class Fill>
    halpool_status run(const halpool_plan *plan, const StridedLayout &input, Flush flush, Fill fill,
                       CanaryOutputOf<T> &output, halpool_error *error) {
        return run_from<T>(plan, input, flush, fill, output, error);
    }

    // The same, of an input of elements of another type.
    template <class In, class T, class Fill>
    halpool_status run_from(const halpool_plan *plan, const StridedLayout &input, Flush flush, Fill fill,
                       CanaryOutputOf<T> &output, halpool_error *error) {
        output.refill();
        if (halpool_plan_device(plan) == HALPOOL_DEVICE_CPU) {
            In *const first = host_.template place<In>(input, flush);
            fill(first);
            return halpool_plan_execute(plan, first, output.data(), nullptr, error);
        }
        return run_on_device<In>(plan, input, flush, fill, output, error);
    }

private:
    // As in CanaryOutput: a multiple of what any device wants offsets to be.
    static constexpr std::size_t kZone = 512;

    template <class In, class T, class Fill>
    halpool_status run_on_device(const halpool_plan *plan, const StridedLayout &input, Flush flush, Fill fill,
                                 CanaryOutputOf<T> &output, halpool_error *error) {
        std::vector<In> values(kZone + input.span());
        std::memset(values.data(), 0xff, values.size() * sizeof(In));
        const std::size_t offset = flush == Flush::with_page_begin ? 0 : kZone;
        if (input.lowest() != 0) throw std::invalid_argument("no device kernel takes negative strides");
        fill(values.data() + offset);

        const std::int32_t device = halpool_plan_device(plan);
        const std::size_t bytes = values.size() * sizeof(In);
        halpool_status status = HALPOOL_OK;
        const auto create = [&](std::size_t size) {
            halpool_memory *memory = nullptr;
            if (status == HALPOOL_OK) status = halpool_memory_create(device, size, &memory, error);
            return MemoryPtr(memory);
        };
        const MemoryPtr in = create(bytes), out = create(output.memory_bytes());
        if (status == HALPOOL_OK) status = halpool_memory_upload(in.get(), 0, values.data(), bytes, error);
        if (status == HALPOOL_OK)
            status = halpool_memory_upload(out.get(), 0, output.memory(), output.memory_bytes(), error);
        if (status == HALPOOL_OK)
            status = halpool_plan_execute_memory(plan, in.get(), offset * sizeof(In), out.get(),
                                                 output.offset_bytes(), nullptr, error);
        if (status == HALPOOL_OK)
            status = halpool_memory_download(out.get(), 0, output.memory(), output.memory_bytes(), error);
        return status;
    }

    GuardedMemory host_;
};

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_GUARDED_EXECUTION_HPP
