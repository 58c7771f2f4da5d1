// Errors that are this library's own: pointers, descriptors, memory and sizes. Each gives a status and a message,
// and leaves the output as it was.
#include "canary_output.hpp"
#include "kernels_under_test.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

namespace halpool_test {
namespace {

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();

// A good call; each test spoils one thing of it.
class BadArguments : public ::testing::Test {
protected:
    Problem problem_{{2, 3, 6, 8}, {2}};
    StridedLayout input_layout_ = planar({2, 3, 6, 8});
    CanaryOutput output_{planar({2, 3, 3, 4})};
    std::vector<float> input_ = std::vector<float>(input_layout_.span(), 1.0f);

    halpool_avg_pool2d_options options_ = problem_.c_options();
    halpool_tensor_desc in_ = input_layout_.desc();
    halpool_tensor_desc out_ = output_.layout().desc();

    PlanPtr good_plan() {
        PlanAttempt attempt = make_plan(problem_, input_layout_, output_.layout());
        EXPECT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
        return std::move(attempt.plan);
    }

    // Runs `call(error)` with and without an error structure.
    template <class Call>
    void expect_refused(Call call, halpool_status status = HALPOOL_ERROR_INVALID_ARGUMENT, const char *word = "") {
        halpool_error error;
        error.status = HALPOOL_OK;
        error.message[0] = '\0';
        EXPECT_EQ(call(&error), status) << error.message;
        EXPECT_EQ(error.status, status);
        EXPECT_STRNE(error.message, "");
        EXPECT_NE(std::string(error.message).find(word), std::string::npos) << error.message << " lacks: " << word;
        EXPECT_EQ(call(nullptr), status);
        EXPECT_TRUE(output_.untouched());
    }

    // The same descriptors through the simple call and through a plan.
    void expect_problem_refused(halpool_status status = HALPOOL_ERROR_INVALID_ARGUMENT, const char *word = "") {
        expect_refused(
            [&](halpool_error *error) {
                return halpool_avg_pool2d(&options_, &in_, input_.data(), &out_, output_.data(), error);
            },
            status, word);
        expect_refused(
            [&](halpool_error *error) {
                halpool_plan *plan = nullptr;
                const halpool_status got =
                    halpool_plan_create_avg_pool2d(&options_, &in_, &out_, nullptr, &plan, error);
                EXPECT_EQ(plan, nullptr);
                return got;
            },
            status, word);
    }
    void expect_shape_refused(halpool_status status = HALPOOL_ERROR_INVALID_ARGUMENT, const char *word = "") {
        expect_refused(
            [&](halpool_error *error) {
                Ints shape(4, -7);
                const halpool_status got = halpool_avg_pool2d_output_shape(&options_, &in_, shape.data(), error);
                EXPECT_EQ(shape, Ints(4, -7));
                return got;
            },
            status, word);
    }
    // The simple call and the plan with these data pointers.
    void expect_data_refused(const void *input, void *output, const char *word) {
        expect_refused(
            [&](halpool_error *error) { return halpool_avg_pool2d(&options_, &in_, input, &out_, output, error); },
            HALPOOL_ERROR_INVALID_ARGUMENT, word);
        const PlanPtr plan = good_plan();
        for (const std::int32_t threads : {1, 3}) {
            halpool_execution execution = HALPOOL_EXECUTION_INIT;
            execution.threads = threads;
            expect_refused(
                [&](halpool_error *error) {
                    return halpool_plan_execute(plan.get(), input, output, &execution, error);
                },
                HALPOOL_ERROR_INVALID_ARGUMENT, word);
        }
        expect_refused(
            [&](halpool_error *error) {
                return halpool_plan_execute_part(plan.get(), input, output, 0, 2, error);
            },
            HALPOOL_ERROR_INVALID_ARGUMENT, word);
    }
};

TEST_F(BadArguments, TheUnspoiledCallWorks) {
    halpool_error error;
    ASSERT_EQ(halpool_avg_pool2d(&options_, &in_, input_.data(), &out_, output_.data(), &error), HALPOOL_OK);
    EXPECT_STREQ(error.message, "");
    EXPECT_EQ(error.status, HALPOOL_OK);
    for (std::size_t i = 0; i < output_.layout().count(); ++i) EXPECT_EQ(output_.value(i), 1.0f);
}

// ---- Null pointers ------------------------------------------------------------------------------------------

TEST_F(BadArguments, NullOptionsAreRefused) {
    expect_refused([&](halpool_error *error) {
        return halpool_avg_pool2d(nullptr, &in_, input_.data(), &out_, output_.data(), error);
    });
    expect_refused([&](halpool_error *error) {
        Ints shape(4);
        return halpool_avg_pool2d_output_shape(nullptr, &in_, shape.data(), error);
    });
    expect_refused([&](halpool_error *error) {
        halpool_plan *plan = nullptr;
        return halpool_plan_create_avg_pool2d(nullptr, &in_, &out_, nullptr, &plan, error);
    });
}

TEST_F(BadArguments, NullDescriptorsAreRefused) {
    expect_refused([&](halpool_error *error) {
        return halpool_avg_pool2d(&options_, nullptr, input_.data(), &out_, output_.data(), error);
    });
    expect_refused([&](halpool_error *error) {
        return halpool_avg_pool2d(&options_, &in_, input_.data(), nullptr, output_.data(), error);
    });
    expect_refused([&](halpool_error *error) {
        Ints shape(4);
        return halpool_avg_pool2d_output_shape(&options_, nullptr, shape.data(), error);
    });
    for (const bool input : {true, false})
        expect_refused([&](halpool_error *error) {
            halpool_plan *plan = nullptr;
            return halpool_plan_create_avg_pool2d(&options_, input ? nullptr : &in_, input ? &out_ : nullptr,
                                                  nullptr, &plan, error);
        });
}

TEST_F(BadArguments, NullShapesAreRefused) {
    in_.shape = nullptr;
    expect_problem_refused();
    expect_shape_refused();
    in_ = input_layout_.desc();
    out_.shape = nullptr;
    expect_problem_refused();
}

TEST_F(BadArguments, NullStridesMeanContiguous) {
    in_.strides = nullptr;
    out_.strides = nullptr;
    EXPECT_EQ(halpool_avg_pool2d(&options_, &in_, input_.data(), &out_, output_.data(), nullptr), HALPOOL_OK);
    EXPECT_TRUE(output_.written(0));
    EXPECT_EQ(output_.damage(), "");
}

TEST_F(BadArguments, NullListsThatHaveASizeAreRefused) {
    for (halpool_int_list *list :
         {&options_.kernel_size, &options_.stride, &options_.padding, &options_.padding_end}) {
        options_ = problem_.c_options();
        *list = {nullptr, 2};
        expect_problem_refused();
        expect_shape_refused();
    }
}

TEST_F(BadArguments, NullOutputShapeIsRefused) {
    expect_refused(
        [&](halpool_error *error) { return halpool_avg_pool2d_output_shape(&options_, &in_, nullptr, error); });
}

TEST_F(BadArguments, NullPlanPointerIsRefused) {
    expect_refused([&](halpool_error *error) {
        return halpool_plan_create_avg_pool2d(&options_, &in_, &out_, nullptr, nullptr, error);
    });
}

TEST_F(BadArguments, NullPlansAreRefusedAndAskedInVain) {
    expect_refused([&](halpool_error *error) {
        return halpool_plan_execute(nullptr, input_.data(), output_.data(), nullptr, error);
    });
    expect_refused([&](halpool_error *error) {
        return halpool_plan_execute_part(nullptr, input_.data(), output_.data(), 0, 1, error);
    });
    halpool_plan_destroy(nullptr);
    EXPECT_STREQ(halpool_plan_kernel(nullptr), "");
    EXPECT_STREQ(halpool_plan_target(nullptr), "");
    EXPECT_STREQ(halpool_plan_describe(nullptr), "");
    EXPECT_EQ(halpool_plan_candidate_count(nullptr), 0u);
    EXPECT_EQ(halpool_plan_candidate_at(nullptr, 0).kernel, nullptr);
}

TEST_F(BadArguments, NullDataIsRefused) {
    expect_data_refused(nullptr, output_.data(), "input");
    expect_data_refused(input_.data(), nullptr, "output");
}

// ---- Descriptors --------------------------------------------------------------------------------------------

TEST_F(BadArguments, AnUnknownDtypeIsRefused) {
    for (const int unknown : {99, -1}) {
        in_.dtype = unknown;
        expect_problem_refused();
        expect_shape_refused();
        in_.dtype = HALPOOL_FLOAT32;
        out_.dtype = unknown;
        expect_problem_refused();
        out_.dtype = HALPOOL_FLOAT32;
    }
}

TEST_F(BadArguments, AnOutputOfAnotherDtypeIsRefused) {
    out_.dtype = HALPOOL_FLOAT64;
    expect_problem_refused();
}

TEST_F(BadArguments, AnOutputOfAnotherShapeIsRefused) {
    for (const Ints &shape :
         {Ints{2, 3, 3, 5}, Ints{2, 3, 3, 3}, Ints{2, 3, 4, 4}, Ints{2, 4, 3, 4}, Ints{1, 3, 3, 4},
          Ints{0, 3, 3, 4}, Ints{2, 3, 3, 0}, Ints{2, 3, 4, 3}, Ints{2, 3, 3, -4}}) {
        out_.shape = shape.data();
        out_.strides = nullptr;
        SCOPED_TRACE(::testing::PrintToString(shape));
        expect_problem_refused();
    }
}

TEST_F(BadArguments, AnOutputOfAnotherRankIsRefused) {
    for (const Ints &shape : {Ints{6, 3, 4}, Ints{2, 3, 12}, Ints{72}, Ints{}, Ints{1, 2, 3, 3, 4}}) {
        out_ = {HALPOOL_FLOAT32, static_cast<std::int32_t>(shape.size()), shape.data(), nullptr};
        SCOPED_TRACE(::testing::PrintToString(shape));
        expect_problem_refused();
    }
}

TEST_F(BadArguments, ImpossibleRanksAndExtentsAreRefused) {
    in_.rank = -1;
    expect_problem_refused();
    in_.rank = 1000000;  // not read as far as that
    expect_problem_refused();
    expect_shape_refused();
    in_.rank = 4;
    for (std::size_t axis = 0; axis < 4; ++axis) {
        Ints shape = {2, 3, 6, 8};
        shape[axis] = -shape[axis];
        in_.shape = shape.data();
        in_.strides = nullptr;
        expect_problem_refused();
        expect_shape_refused();
    }
}

TEST_F(BadArguments, AnOutputThatReachesOneElementTwiceIsRefused) {
    const Ints overlapping[] = {{36, 12, 4, 0}, {0, 12, 4, 1}, {36, 12, 0, 1}, {36, 12, 1, 1}, {36, 12, 3, 1},
                                {36, 12, 4, -4}};
    for (const Ints &strides : overlapping) {
        out_.strides = strides.data();
        SCOPED_TRACE(::testing::PrintToString(strides));
        expect_problem_refused();
    }
}

// ---- Memory -------------------------------------------------------------------------------------------------

TEST_F(BadArguments, MisalignedDataIsRefused) {
    for (const int off : {1, 2, 3}) {
        const auto *input = reinterpret_cast<const char *>(input_.data()) + off;
        auto *output = reinterpret_cast<char *>(output_.data()) + off;
        expect_data_refused(input, output_.data(), "input");
        expect_data_refused(input_.data(), output, "output");
    }
}

TEST_F(BadArguments, DataAlignedToTheElementAloneIsEnough) {
    std::vector<float> input(input_.size() + 1, 1.0f);
    for (const std::size_t off : {0, 1}) {
        output_.refill();
        EXPECT_EQ(halpool_avg_pool2d(&options_, &in_, input.data() + off, &out_, output_.data(), nullptr),
                  HALPOOL_OK);
        EXPECT_EQ(output_.value(0), 1.0f);
    }
}

TEST_F(BadArguments, OverlappingInputAndOutputAreRefused) {
    // The output's 72 floats at each place where they share at least one with the input's 288.
    std::vector<float> memory(288 + 2 * 72);
    std::iota(memory.begin(), memory.end(), 0.0f);
    const std::vector<float> before = memory;
    float *const input = memory.data() + 72;
    for (const std::ptrdiff_t at : {0, 1, 71, 100, 216, 287, -1, -71})
        expect_data_refused(input, input + at, "overlap");
    EXPECT_EQ(memory, before);
}

TEST_F(BadArguments, InputAndOutputMayTouch) {
    for (const bool output_first : {false, true}) {
        std::vector<float> memory(288 + 72, 5.0f);
        float *const input = memory.data() + (output_first ? 72 : 0);
        float *const output = memory.data() + (output_first ? 0 : 288);
        halpool_error error;
        EXPECT_EQ(halpool_avg_pool2d(&options_, &in_, input, &out_, output, &error), HALPOOL_OK) << error.message;
    }
}

TEST_F(BadArguments, OverlapIsSeenThroughNegativeStrides) {
    const Ints strides = {144, 48, 8, -1};  // element [0, 0, 0, 0] is a row's last float
    in_.strides = strides.data();
    std::vector<float> memory(288 + 72);
    float *const input = memory.data() + 7;
    expect_refused([&](halpool_error *error) {
        return halpool_avg_pool2d(&options_, &in_, input, &out_, memory.data() + 280, error);
    });
    EXPECT_EQ(halpool_avg_pool2d(&options_, &in_, input, &out_, memory.data() + 288, nullptr), HALPOOL_OK);
}

// ---- Sizes --------------------------------------------------------------------------------------------------

TEST_F(BadArguments, ShapesOfMoreBytesThan64BitsAreRefused) {
    const Ints shapes[] = {
        {kInt64Max, 1, 6, 8},
        {1, kInt64Max / 4, 6, 8},
        {1, 1, kInt64Max, 8},
        {1, 1, 6, kInt64Max},
        {kInt32Max, kInt32Max, 2, 2},
        {std::int64_t{1} << 31, std::int64_t{1} << 31, 2, 2},
        {std::int64_t{1} << 16, std::int64_t{1} << 16, std::int64_t{1} << 16, std::int64_t{1} << 16},
        {kInt64Max, kInt64Max, kInt64Max, kInt64Max},
        {1, 1, 1, (std::int64_t{1} << 61)}};
    for (const Ints &shape : shapes) {
        in_.shape = shape.data();
        SCOPED_TRACE(::testing::PrintToString(shape));
        for (const bool planar_strides : {true, false}) {
            in_.strides = planar_strides ? nullptr : input_layout_.strides.data();
            expect_problem_refused();
            if (planar_strides) expect_shape_refused();
        }
    }
}

TEST_F(BadArguments, TensorsOfMoreBytesThanThisMachineAddressesAreRefused) {
    constexpr int bits = std::numeric_limits<std::ptrdiff_t>::digits;  // addresses differ by less than 2^bits
    const std::string word = std::to_string(bits + 1) + " bits";
    const Ints fits = {1, 1, 6, std::int64_t{1} << (bits - 5)};
    in_ = {HALPOOL_FLOAT32, 4, fits.data(), nullptr};
    Ints pooled(4);
    EXPECT_EQ(halpool_avg_pool2d_output_shape(&options_, &in_, pooled.data(), nullptr), HALPOOL_OK);
    const Ints too_many = {1, 1, 8, std::int64_t{1} << (bits - 5)};
    in_.shape = too_many.data();
    expect_problem_refused(HALPOOL_ERROR_INVALID_ARGUMENT, word.c_str());
    expect_shape_refused();

    // A few elements, too far apart.
    in_ = input_layout_.desc();
    for (const std::int64_t sign : {1, -1}) {
        Ints strides = input_layout_.strides;
        strides[0] = sign * (std::int64_t{1} << (bits - 2));
        in_.strides = strides.data();
        expect_problem_refused(HALPOOL_ERROR_INVALID_ARGUMENT, word.c_str());
    }
}

TEST_F(BadArguments, StridesThatReachBeyond64BitsAreRefused) {
    for (const std::int64_t huge :
         {kInt64Max, -kInt64Max, std::numeric_limits<std::int64_t>::min(), kInt64Max / 4})
        for (std::size_t axis = 0; axis < 4; ++axis) {
            Ints strides = input_layout_.strides;
            strides[axis] = huge;
            SCOPED_TRACE(::testing::PrintToString(strides));
            in_.strides = strides.data();
            expect_problem_refused();
            in_.strides = input_layout_.strides.data();
            Ints out_strides = output_.layout().strides;
            out_strides[axis] = huge;
            out_.strides = out_strides.data();
            expect_problem_refused();
            out_.strides = output_.layout().strides.data();
        }
}

TEST_F(BadArguments, AnOutputOfMoreBytesThan64BitsIsRefused) {
    problem_ = {{1, 1, 4, 4}, {1}, {1}, {kInt32Max}};
    problem_.allow_any_padding = true;
    options_ = problem_.c_options();
    const Ints in_shape = {1, 1, 4, 4}, extents = {1, 1, 2 * kInt32Max + 4, 2 * kInt32Max + 4};
    in_ = {HALPOOL_FLOAT32, 4, in_shape.data(), nullptr};
    out_ = {HALPOOL_FLOAT32, 4, extents.data(), nullptr};
    expect_problem_refused();
}

TEST_F(BadArguments, WindowParametersBeyond32BitsAreRefused) {
    const Ints huge = {kInt64Max}, beyond = {kInt32Max + 1};
    for (const Ints &values : {huge, beyond})
        for (halpool_int_list *list :
             {&options_.kernel_size, &options_.stride, &options_.padding, &options_.padding_end}) {
            options_ = problem_.c_options();
            options_.allow_any_padding = 1;
            *list = {values.data(), 1};
            expect_problem_refused();
            expect_shape_refused();
        }
}

TEST_F(BadArguments, TheLargestWindowParametersThatFit32BitsAreComputed) {
    problem_ = {{1, 1, 4, 4}, {kInt32Max}, {kInt32Max}, {kInt32Max / 2}};
    const Ints one = {1, 1, 1, 1};
    const StridedLayout input = planar({1, 1, 4, 4});
    const Ints shape = [&] {
        const halpool_avg_pool2d_options options = problem_.c_options();
        const halpool_tensor_desc in = input.desc();
        Ints extents(4);
        EXPECT_EQ(halpool_avg_pool2d_output_shape(&options, &in, extents.data(), nullptr), HALPOOL_OK);
        return extents;
    }();
    ASSERT_EQ(shape, one);
    for (const KernelUnderTest &kernel : kernels_under_test()) {
        if (!kernel.available) continue;
        CanaryOutput output(planar(one));
        const PlanAttempt attempt = make_plan(problem_, input, output.layout(), kernel.name.c_str());
        if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) continue;
        ASSERT_EQ(attempt.status, HALPOOL_OK) << kernel << ": " << attempt.error.message;
        const std::vector<float> ones(16, 1e18f);
        ASSERT_EQ(halpool_plan_execute(attempt.plan.get(), ones.data(), output.data(), nullptr, nullptr),
                  HALPOOL_OK);
        const double divisor = static_cast<double>(kInt32Max) * static_cast<double>(kInt32Max);
        EXPECT_NEAR(static_cast<double>(output.value(0)), 16e18 / divisor, 1e-5) << kernel;
    }
}

// 40,000,000 columns times 64 divisors along y: more than kernels address with 32 bits.
TEST_F(BadArguments, TablesOfReciprocalsThatNoKernelCanAddressAreRefused) {
    problem_ = {{1, 1, 1, 40'000'000}, {64, 3}, {1}, {32, 1}};
    const StridedLayout input = planar(problem_.input_shape), output = planar({1, 1, 2, 40'000'000});
    int tried = 0;
    for (const KernelUnderTest &kernel : kernels_under_test()) {
        if (kernel.window != "lines" || kernel.layout != "nchw" || !kernel.available) continue;
        ++tried;
        const PlanAttempt attempt = make_plan(problem_, input, output, kernel.name.c_str());
        EXPECT_EQ(attempt.status, HALPOOL_ERROR_UNSUPPORTED) << kernel;
        EXPECT_NE(std::string(attempt.error.message).find("takes at most 16777215 floats an output row"), std::string::npos)
            << attempt.error.message;
    }
    EXPECT_GT(tried, 0);
}

// ---- The backward pass, and dtypes ----------------------------------------------------------------------------

TEST_F(BadArguments, OfTheBackwardPassAreRefused) {
    std::vector<float> gradient(output_.layout().count(), 1.0f);
    CanaryOutput grad_input(input_layout_);
    halpool_tensor_desc in = output_.layout().desc(), out = input_layout_.desc();
    const auto refused = [&](const char *word, const void *from, void *to) {
        halpool_error error;
        EXPECT_EQ(halpool_avg_pool2d_backward(&options_, &in, from, &out, to, &error), HALPOOL_ERROR_INVALID_ARGUMENT);
        EXPECT_NE(std::string(error.message).find(word), std::string::npos) << error.message << " lacks: " << word;
        EXPECT_TRUE(grad_input.untouched());
    };
    refused("null pointer", nullptr, grad_input.data());
    refused("null pointer", gradient.data(), nullptr);
    refused("not aligned", reinterpret_cast<const char *>(gradient.data()) + 1, grad_input.data());
    in.dtype = HALPOOL_FLOAT64;
    refused("the gradient of the input is float32 and the gradient of the output float64", gradient.data(), grad_input.data());
    in.dtype = 99;
    refused("99", gradient.data(), grad_input.data());
    in = output_.layout().desc();
    const Ints batch = {3, 3, 3, 4}, rank3 = {3, 3, 4};
    in.shape = batch.data();
    refused("[3, 3, 3, 4]", gradient.data(), grad_input.data());
    in = {HALPOOL_FLOAT32, 3, rank3.data(), nullptr};
    refused("but got: dimension 3", gradient.data(), grad_input.data());
    in = output_.layout().desc();
    const Ints broadcast = {144, 48, 0, 1};
    out.strides = broadcast.data();
    refused("reach one element by several indices", gradient.data(), grad_input.data());
}

TEST_F(BadArguments, DtypesThatPyTorchRefusesAskForTheOption) {
    for (const halpool_dtype dtype : {HALPOOL_INT8, HALPOOL_UINT8, HALPOOL_INT32}) {
        in_.dtype = out_.dtype = dtype;
        options_.allow_any_dtype = 0;
        expect_problem_refused(HALPOOL_ERROR_NOT_IMPLEMENTED, "not implemented for");
        options_.allow_any_dtype = 1;
        halpool_plan *plan = nullptr;
        EXPECT_EQ(halpool_plan_create_avg_pool2d(&options_, &in_, &out_, nullptr, &plan, nullptr), HALPOOL_OK);
        halpool_plan_destroy(plan);
    }
    for (const halpool_dtype dtype : {HALPOOL_INT16, HALPOOL_BOOL, HALPOOL_COMPLEX64, HALPOOL_COMPLEX128}) {
        in_.dtype = out_.dtype = dtype;
        expect_problem_refused(HALPOOL_ERROR_NOT_IMPLEMENTED, "not implemented for");
    }
}

// ---- Structures ---------------------------------------------------------------------------------------------

TEST_F(BadArguments, StructuresWithoutTheirSizeAreRefused) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::numeric_limits<std::size_t>::max()}) {
        options_.struct_size = size;
        expect_problem_refused(HALPOOL_ERROR_INVALID_ARGUMENT, "struct_size");
        expect_shape_refused(HALPOOL_ERROR_INVALID_ARGUMENT, "struct_size");
    }
    options_ = problem_.c_options();
    expect_refused(
        [&](halpool_error *error) {
            halpool_plan_options plan_options = HALPOOL_PLAN_OPTIONS_INIT;
            plan_options.struct_size = 0;
            halpool_plan *plan = nullptr;
            return halpool_plan_create_avg_pool2d(&options_, &in_, &out_, &plan_options, &plan, error);
        },
        HALPOOL_ERROR_INVALID_ARGUMENT, "struct_size");
    const PlanPtr plan = good_plan();
    expect_refused(
        [&](halpool_error *error) {
            halpool_execution execution = HALPOOL_EXECUTION_INIT;
            execution.struct_size = 0;
            return halpool_plan_execute(plan.get(), input_.data(), output_.data(), &execution, error);
        },
        HALPOOL_ERROR_INVALID_ARGUMENT, "struct_size");
}

TEST_F(BadArguments, AnOlderCallersShorterStructureIsReadAsFarAsItGoes) {
    options_.allow_any_padding = 1;
    const std::int64_t three = 3;
    options_.padding = {&three, 1};
    options_.padding_end = {&three, 1};
    options_.struct_size = offsetof(halpool_avg_pool2d_options, padding_end);
    // What lies behind the structure's size is not read: padding 3 of a kernel of 2 is PyTorch's error again.
    expect_shape_refused(HALPOOL_ERROR_INVALID_ARGUMENT, "pad should be at most half");
}

// ---- Execution ----------------------------------------------------------------------------------------------

TEST_F(BadArguments, PartsOutOfRangeAreRefused) {
    const PlanPtr plan = good_plan();
    const std::int32_t bad[][2] = {{-1, 4}, {4, 4}, {5, 4}, {0, 0}, {0, -1}, {-1, -1}, {1, 1},
                                   {std::numeric_limits<std::int32_t>::max(), 3}};
    for (const auto &[part, parts] : bad) {
        SCOPED_TRACE(::testing::Message() << "part " << part << " of " << parts);
        expect_refused([&, part = part, parts = parts](halpool_error *error) {
            return halpool_plan_execute_part(plan.get(), input_.data(), output_.data(), part, parts, error);
        });
    }
}

TEST_F(BadArguments, FewerThanOneThreadIsRefused) {
    const PlanPtr plan = good_plan();
    for (const std::int32_t threads : {0, -1, std::numeric_limits<std::int32_t>::min()})
        expect_refused([&](halpool_error *error) {
            halpool_execution execution = HALPOOL_EXECUTION_INIT;
            execution.threads = threads;
            return halpool_plan_execute(plan.get(), input_.data(), output_.data(), &execution, error);
        });
}

TEST_F(BadArguments, ALongMessageIsCutAndStillEnds) {
    const std::string name(5000, 'x');
    const PlanAttempt attempt = make_plan(problem_, input_layout_, output_.layout(), name.c_str());
    EXPECT_EQ(attempt.status, HALPOOL_ERROR_UNSUPPORTED);
    EXPECT_LT(std::string(attempt.error.message).size(), static_cast<std::size_t>(HALPOOL_MESSAGE_SIZE));
}

}  // namespace
}  // namespace halpool_test
