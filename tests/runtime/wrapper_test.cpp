// The C++17 wrapper: the operator's simple call, views, errors, plans.
#include <halpool/halpool.hpp>

#include <gtest/gtest.h>

#include <numeric>

namespace halpool_test {
namespace {

std::vector<float> counting(std::size_t count) {
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 1.0f);
    return values;
}

TEST(Wrapper, TheSimpleCallGivesTheKnownAnswer) {
    const std::vector<float> pixels = counting(16);
    halpool::AvgPool2dOptions options;
    options.stride = 2;
    options.padding = 1;
    options.ceil_mode = true;
    const halpool::Tensor pooled =
        halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {1, 1, 4, 4}), 3, options);
    EXPECT_EQ(pooled.shape(), (halpool::Shape{1, 1, 3, 3}));
    const std::vector<float> want = {14.0f / 9, 10.0f / 3, 2, 19.0f / 3, 11, 6, 4.5f, 7.5f, 4};
    ASSERT_EQ(pooled.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_FLOAT_EQ(pooled.data()[i], want[i]);
}

TEST(Wrapper, DefaultsAreTheOperators) {
    const std::vector<float> pixels = counting(2 * 4 * 6);
    const halpool::Tensor pooled = halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {2, 4, 6}), {2, 3});
    EXPECT_EQ(pooled.shape(), (halpool::Shape{2, 2, 2}));
    EXPECT_FLOAT_EQ(pooled.data()[0], (1 + 2 + 3 + 7 + 8 + 9) / 6.0f);
}

TEST(Wrapper, EveryOptionReachesTheLibrary) {
    const std::vector<float> pixels(6 * 6, 1.0f);
    const halpool::ConstTensorView input(pixels.data(), {1, 1, 6, 6});
    const auto first = [&](const halpool::AvgPool2dOptions &options) {
        return halpool::avg_pool2d(input, 3, options).data()[0];
    };
    halpool::AvgPool2dOptions options;
    options.padding = {1, 1};
    EXPECT_FLOAT_EQ(first(options), 4.0f / 9);
    options.count_include_pad = false;
    EXPECT_FLOAT_EQ(first(options), 1.0f);
    options.divisor_override = -8;
    EXPECT_FLOAT_EQ(first(options), -0.5f);
    options.padding_end = {0, 0};
    options.ceil_mode = false;
    EXPECT_EQ(halpool::avg_pool2d_output_shape(input, 3, options), (halpool::Shape{1, 1, 2, 2}));
    options.padding = 4;
    EXPECT_THROW(first(options), halpool::Error);
    options.allow_any_padding = true;
    EXPECT_FLOAT_EQ(first(options), 0.0f);
}

TEST(Wrapper, AChannelsLastInputGivesAChannelsLastResult) {
    std::vector<float> pixels(1 * 4 * 4 * 3);  // [n, h, w, c]
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 3);
    const halpool::ConstTensorView input(pixels.data(), {1, 3, 4, 4}, halpool::MemoryFormat::channels_last);
    const halpool::Tensor pooled = halpool::avg_pool2d(input, 2);
    EXPECT_EQ(pooled.shape(), (halpool::Shape{1, 3, 2, 2}));
    EXPECT_EQ(pooled.strides(), (halpool::Shape{12, 1, 6, 3}));
    for (std::size_t i = 0; i < pooled.size(); ++i) EXPECT_EQ(pooled.data()[i], static_cast<float>(i % 3));
}

TEST(Wrapper, PoolsIntoTheCallersMemory) {
    const std::vector<float> pixels(2 * 8 * 8, 3.0f);
    std::vector<float> memory(2 * 4 * 10, -1.0f);
    const halpool::TensorView output(memory.data(),
                                     halpool::TensorDesc({1, 2, 4, 4}, halpool::Shape{80, 40, 10, 2}));
    halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {1, 2, 8, 8}), output, 2);
    for (std::size_t i = 0; i < memory.size(); ++i)
        EXPECT_EQ(memory[i], i % 10 < 8 && i % 2 == 0 ? 3.0f : -1.0f) << i;
}

TEST(Wrapper, AnErrorIsAnExceptionWithStatusAndText) {
    const std::vector<float> pixels(16);
    halpool::AvgPool2dOptions options;
    options.padding = 2;
    try {
        halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {1, 1, 4, 4}), 2, options);
        FAIL() << "no exception";
    } catch (const halpool::Error &error) {
        EXPECT_EQ(error.status(), HALPOOL_ERROR_INVALID_ARGUMENT);
        EXPECT_STREQ(error.what(),
                     "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 "
                     "and dilation=1");
    }
    EXPECT_THROW(halpool::TensorDesc({1, 2, 3}, halpool::Shape{1, 2}), std::invalid_argument);
}

TEST(Wrapper, AShapeTooLargeIsAnExceptionNotACrash) {
    const std::vector<float> pixels(16);
    const std::int64_t large = std::int64_t{1} << 62;
    EXPECT_THROW(halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {large, large, 4, 4}), 2),
                 halpool::Error);
}

TEST(Wrapper, APlanExecutesAsOftenAsAsked) {
    const halpool::TensorDesc in({1, 8, 20, 20}), out({1, 8, 10, 10});
    halpool::AvgPool2dPlan made(in, out, 2);
    const halpool::AvgPool2dPlan plan = std::move(made);
    EXPECT_FALSE(plan.kernel().empty());
    EXPECT_FALSE(plan.target().empty());
    EXPECT_NE(plan.describe().find(plan.kernel()), std::string::npos);
    std::vector<float> input(8 * 400), output(800), parts(800);
    for (const float value : {1.0f, 7.0f}) {
        std::fill(input.begin(), input.end(), value);
        plan.execute(input.data(), output.data());
        EXPECT_EQ(output, std::vector<float>(800, value));
        plan.execute(input.data(), output.data(), 3);
        EXPECT_EQ(output, std::vector<float>(800, value));
        for (int part = 0; part < 4; ++part) plan.execute_part(input.data(), parts.data(), part, 4);
        EXPECT_EQ(parts, output);
    }
    EXPECT_THROW(plan.execute_part(input.data(), parts.data(), 4, 4), halpool::Error);
}

// ---- Devices and memory ---------------------------------------------------------------------------------------

TEST(Wrapper, DevicesAreTheLibrarysTheCpuFirst) {
    const std::vector<halpool::DeviceInfo> devices = halpool::devices();
    ASSERT_EQ(devices.size(), halpool_device_count());
    EXPECT_EQ(devices[0].device, halpool::Device::cpu);
    for (std::size_t i = 0; i < devices.size(); ++i) {
        EXPECT_EQ(static_cast<std::int32_t>(devices[i].device), halpool_device_at(i).device);
        EXPECT_EQ(devices[i].name, halpool_device_at(i).name);
        EXPECT_EQ(devices[i].available, halpool_device_at(i).available != 0);
        EXPECT_EQ(devices[i].reason, halpool_device_at(i).reason);
    }
}

TEST(Wrapper, MemoryHoldsWhatWasUploadedAndMoves) {
    halpool::Memory first(halpool::Device::cpu, 64);
    const std::vector<float> values = counting(16);
    first.upload(values.data(), 64);
    const float minus = -1;
    first.upload(&minus, sizeof minus, 8);
    halpool::Memory memory = std::move(first);
    EXPECT_EQ(memory.size(), 64u);
    EXPECT_EQ(memory.device(), halpool::Device::cpu);
    EXPECT_NE(memory.pointer(), nullptr);
    std::vector<float> got(3);
    memory.download(got.data(), 12, 4);
    EXPECT_EQ(got, (std::vector<float>{2, -1, 4}));
    EXPECT_THROW(memory.download(got.data(), 12, 56), halpool::Error);
    EXPECT_THROW(memory.upload(got.data(), 65), halpool::Error);
    first = halpool::Memory(halpool::Device::cpu, 8);
    EXPECT_EQ(first.size(), 8u);
}

TEST(Wrapper, MemoryMovedFromIsEmptyAndRefusesWork) {
    halpool::Memory memory(halpool::Device::cpu, 64);
    const halpool::Memory taken = std::move(memory);
    char byte = 0;
    EXPECT_EQ(memory.size(), 0u);
    EXPECT_EQ(memory.pointer(), nullptr);
    EXPECT_THROW(memory.upload(&byte, 1), halpool::Error);
    EXPECT_THROW(memory.download(&byte, 1), halpool::Error);
}

TEST(Wrapper, MemoryOfNoDeviceIsAnException) {
    try {
        halpool::Memory(halpool::Device::automatic, 64);
        FAIL() << "no exception";
    } catch (const halpool::Error &error) {
        EXPECT_EQ(error.status(), HALPOOL_ERROR_INVALID_ARGUMENT);
    }
}

TEST(Wrapper, APlanExecutesOnMemoryOfEveryAvailableDevice) {
    const halpool::TensorDesc in({1, 8, 20, 20}), out({1, 8, 10, 10});
    for (const halpool::DeviceInfo &device : halpool::devices()) {
        halpool::PlanOptions options;
        options.device = device.device;
        if (!device.available) {
            EXPECT_THROW(halpool::AvgPool2dPlan(in, out, 2, {}, options), halpool::Error);
            EXPECT_THROW(halpool::Memory(device.device, 64), halpool::Error);
            continue;
        }
        const halpool::AvgPool2dPlan plan(in, out, 2, {}, options);
        EXPECT_EQ(plan.device(), device.device);
        halpool::Memory input(plan.device(), 256 + 8 * 400 * 4), output(plan.device(), 512 + 8 * 100 * 4);
        const std::vector<float> fives(8 * 400, 5.0f), sevens(8 * 400, 7.0f);
        std::vector<float> got(8 * 100);
        input.upload(fives.data(), fives.size() * 4);
        plan.execute(input, output, /*threads*/ 2);
        output.download(got.data(), got.size() * 4);
        EXPECT_EQ(got, std::vector<float>(8 * 100, 5.0f)) << device.name;
        input.upload(sevens.data(), sevens.size() * 4, 256);
        plan.execute(input, 256, output, 512);
        output.download(got.data(), got.size() * 4, 512);
        EXPECT_EQ(got, std::vector<float>(8 * 100, 7.0f)) << device.name;
        EXPECT_THROW(plan.execute(input, 512, output, 0), halpool::Error);
    }
}

TEST(Wrapper, APlanTakesTheDeviceOfTheDataOrWhereTheResultIsWanted) {
    const halpool::TensorDesc in({1, 8, 20, 20}), out({1, 8, 10, 10});
    const std::vector<float> host(4);
    halpool::PlanOptions options;
    options.data = host.data();
    EXPECT_EQ(halpool::AvgPool2dPlan(in, out, 2, {}, options).device(), halpool::Device::cpu);
    halpool::Device first = halpool::Device::cpu;
    for (const halpool::DeviceInfo &device : halpool::devices())
        if (first == halpool::Device::cpu && device.available) first = device.device;
    options.result_on_device = true;
    EXPECT_EQ(halpool::AvgPool2dPlan(in, out, 2, {}, options).device(), first);
}

TEST(Wrapper, AStreamIsForCudaPlansAlone) {
    const halpool::AvgPool2dPlan plan(halpool::TensorDesc({1, 1, 4, 4}), halpool::TensorDesc({1, 1, 2, 2}), 2);
    const std::vector<float> input(16);
    std::vector<float> output(4);
    EXPECT_THROW(plan.execute_on_stream(input.data(), output.data(), &output), halpool::Error);
    EXPECT_NO_THROW(plan.execute_on_stream(input.data(), output.data(), nullptr));
}

TEST(Wrapper, APlanForcesAKernelByName) {
    const halpool::TensorDesc in({1, 8, 20, 20}), out({1, 8, 10, 10});
    std::string reference;
    for (std::size_t i = 0; reference.empty() && i < halpool_kernel_count(); ++i)
        if (std::string(halpool_kernel_at(i).window) == "any") reference = halpool_kernel_at(i).name;
    EXPECT_EQ(halpool::AvgPool2dPlan(in, out, 2, {}, {"", reference}).kernel(), reference);
    try {
        halpool::AvgPool2dPlan(in, out, 2, {}, {"no_such_target", ""});
        FAIL() << "no exception";
    } catch (const halpool::Error &error) {
        EXPECT_EQ(error.status(), HALPOOL_ERROR_UNSUPPORTED);
    }
}

}  // namespace
}  // namespace halpool_test
