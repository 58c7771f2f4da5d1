#include "random_problem.hpp"

#include "oracle.hpp"

#include <algorithm>
#include <limits>

namespace halpool_test {
namespace {

// Additions an oracle does for one case: keeps thousands of cases within the time of a unit test.
constexpr std::int64_t kMostAdditions = 1500000;

std::int64_t extent(Random &random) {
    switch (random.between(0, 5)) {
    case 0: return random.between(1, 9);
    case 1: return random.between(14, 18);
    case 2: return random.one_in(6) ? random.between(71, 200) : random.between(30, 34);
    default: return random.between(1, 70);
    }
}

std::int64_t kernel_extent(Random &random) {
    if (random.one_in(16)) return random.between(71, 255);  // mostly padding; sums of blocks of rows go around their ring
    if (random.one_in(24)) return random.between(41, 70);
    return random.one_in(8) ? random.between(10, 40) : random.between(1, 9);
}

Ints one_or_two(Random &random, std::int64_t y, std::int64_t x) {
    return y == x && random.one_in(2) ? Ints{y} : Ints{y, x};
}

void choose_window(Random &random, Problem &problem, std::int64_t height, std::int64_t width) {
    std::int64_t ky = 0, kx = 0, sy = 0, sx = 0;
    bool side_by_side = false;
    switch (random.between(0, 15)) {
    case 12:
    case 13:
    case 14:
    case 15:  // side by side, mostly four in a row or more
        side_by_side = true;
        kx = random.one_in(8) ? random.between(9, 16)
                              : std::max<std::int64_t>(std::min<std::int64_t>(width / 4, 8) - random.between(0, 3), 2);
        sx = kx;
        ky = random.one_in(2) ? kx : random.between(1, 20);
        sy = ky + (random.one_in(3) ? random.between(0, 2) : 0);
        break;
    case 0:
    case 1: ky = kx = 2, sy = sx = 2; break;
    case 2:
    case 3: ky = kx = random.one_in(3) ? 5 : random.one_in(4) ? 2 : 3, sy = sx = 1; break;
    case 4:
    case 5:
        ky = kx = random.one_in(3) ? 5 : random.one_in(6) ? 4 : 3, sy = sx = 2;
        if (ky == 5 && random.one_in(3)) sy = sx = 3;
        break;
    case 6:  // global
        ky = height, kx = width, sy = random.between(1, 5), sx = random.between(1, 5);
        break;
    default:
        ky = kernel_extent(random), kx = random.one_in(2) ? ky : kernel_extent(random);
        sy = random.between(1, 5), sx = random.one_in(2) ? sy : random.between(1, 5);
        if (random.one_in(6)) sx = kx + random.between(0, 3), sy = ky;
        if (random.one_in(12)) sx = random.between(6, 20), sy = random.between(1, 20);
    }
    problem.kernel_size = one_or_two(random, ky, kx);
    problem.stride = sy == ky && sx == kx && random.one_in(2) ? Ints{} : one_or_two(random, sy, sx);

    const bool global = ky == height && kx == width;
    if (!random.one_in(3) && !(global && random.one_in(2)) && !(side_by_side && !random.one_in(8))) {
        problem.allow_any_padding = random.one_in(5);
        const auto pad = [&](std::int64_t k) {
            return random.between(0, problem.allow_any_padding ? k + random.between(0, 4) : k / 2);
        };
        problem.padding = one_or_two(random, pad(ky), pad(kx));
        if (random.one_in(3)) problem.padding_end = one_or_two(random, pad(ky), pad(kx));
    }
    problem.ceil_mode = random.one_in(side_by_side ? 8 : 2);
    problem.count_include_pad = random.one_in(2);
    if (random.one_in(6)) {
        constexpr std::array<std::int64_t, 7> kDivisors = {1, 2, 7, 1000003, -1, -3, 4096};
        problem.divisor_override = kDivisors[static_cast<std::size_t>(random.between(0, 6))];
    }
}

// What PyTorch has not.
void choose_beyond_pytorch(Random &random, Problem &problem) {
    if (random.one_in(3)) problem.dilation = one_or_two(random, random.between(1, 5), random.between(1, 5));
    if (random.one_in(3)) {
        problem.auto_pad = random.one_in(2) ? HALPOOL_AUTO_PAD_SAME_UPPER : HALPOOL_AUTO_PAD_SAME_LOWER;
        problem.padding = problem.padding_end = {};
    }
    if (!problem.divisor_override) problem.divisor_rule = static_cast<halpool_divisor_rule>(random.between(0, 3));
}

// What kernels for exact planes, and for windows side by side of one width, take: too rare among the others.
void choose_exact_extents(Random &random, Problem &problem) {
    std::int64_t &height = problem.input_shape[problem.input_shape.size() - 2], &width = problem.input_shape.back();
    problem.padding = problem.padding_end = {};
    if (random.one_in(2)) {
        height = width = random.one_in(2) ? 7 : 14;
        problem.kernel_size = {3};
        problem.stride = problem.padding = {1};
    } else {
        const std::int64_t columns = random.between(2, 9);
        problem.kernel_size = one_or_two(random, random.one_in(2) ? columns : random.between(1, 16), columns);
        problem.stride = {};
        width = columns * random.between(4, 9) + random.between(0, 1);
        problem.ceil_mode = false;
    }
}

// Rows and pixels of whole cache lines, and of half ones: for the kernels that write past the caches.
void choose_lines(Random &random, Problem &problem) {
    const std::int64_t kernel = random.between(2, 3), stride = kernel == 2 ? 2 : random.between(1, 2);
    const std::int64_t padding = random.between(0, 1), columns = 8 * random.between(1, 12);
    problem.input_shape = {random.between(1, 2), random.one_in(2) ? 3 : 16 * random.between(1, 2), random.between(3, 20),
                           (columns - 1) * stride + kernel - 2 * padding};
    problem.kernel_size = {kernel};
    problem.stride = {stride};
    problem.padding = {padding};
    problem.padding_end = {};
    problem.ceil_mode = false;
    problem.allow_any_padding = false;
}

// Axes in any order, each with gaps behind it, some walked backwards: transposed, cropped and sliced views.
StridedLayout view(Random &random, const Ints &shape, bool is_input) {
    std::vector<std::size_t> order(shape.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    switch (random.between(0, 3)) {
    case 0: break;  // a cropped planar image
    case 1:         // a cropped channels-last image
        order = shape.size() == 4 ? std::vector<std::size_t>{0, 2, 3, 1} : std::vector<std::size_t>{1, 2, 0};
        break;
    default:
        for (std::size_t i = order.size(); i-- > 1;)
            std::swap(order[i], order[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(i)))]);
    }
    StridedLayout layout{shape, Ints(shape.size())};
    std::int64_t next = 1;
    const bool sparse = random.one_in(2), backwards = random.one_in(4);
    for (std::size_t i = order.size(); i-- > 0;) {
        const std::size_t axis = order[i];
        if (sparse && random.one_in(4)) next *= random.between(2, 3);
        layout.strides[axis] = next;
        next *= std::max<std::int64_t>(shape[axis], 1) + (random.one_in(2) ? random.between(0, 5) : 0);
        if (backwards && random.one_in(2)) layout.strides[axis] = -layout.strides[axis];
        if (is_input && random.one_in(40)) layout.strides[axis] = 0;  // an expanded view
    }
    return layout;
}

StridedLayout any_layout(Random &random, const Ints &shape, bool is_input, std::int64_t kind) {
    if (kind < 4) return planar(shape);
    if (kind < 8) return channels_last(shape);
    return view(random, shape, is_input);
}

std::vector<float> random_values(Random &random, std::size_t count) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const std::int64_t kind = random.between(0, 11);
    const double offset = kind < 4 ? 0 : kind < 7 ? 100 : 1;
    std::vector<float> values(count);
    for (float &value : values) {
        value = static_cast<float>(random.unit() * 2 - 1 + offset);
        if (kind == 8) value = random.one_in(2) ? -0.0f : 0.0f;
        if (kind == 9) value *= 0x1p-135f;  // denormal
        if (kind == 10 && random.one_in(30)) {
            const std::int64_t which = random.between(0, 2);
            value = which == 0 ? std::numeric_limits<float>::quiet_NaN() : which == 1 ? kInfinity : -kInfinity;
        }
        if (kind == 11) value = -0.0f;
    }
    return values;
}

// Elements that share memory have one value.
void share_values(const StridedLayout &layout, std::vector<float> &values) {
    for (std::size_t axis = 0; axis < layout.shape.size(); ++axis)
        if (layout.strides[axis] == 0) {
            std::size_t inner = 1;
            for (std::size_t i = axis + 1; i < layout.shape.size(); ++i) inner *= static_cast<std::size_t>(layout.shape[i]);
            const std::size_t block = inner * static_cast<std::size_t>(layout.shape[axis]);
            for (std::size_t i = 0; block != 0 && i < values.size(); ++i) values[i] = values[i / block * block + i % inner];
        }
}

std::int64_t additions(const Problem &problem) {
    const Axes a = axes(problem);
    const std::int64_t planes =
        problem.input_shape.size() == 4 ? problem.input_shape[0] * problem.input_shape[1] : problem.input_shape[0];
    return planes * a.y.out(problem.ceil_mode) * std::min(a.y.kernel, a.y.in) * a.x.out(problem.ceil_mode) *
           std::min(a.x.kernel, a.x.in);
}

}  // namespace

RandomCase random_case(std::uint64_t seed, std::int64_t number, bool even) {
    Random random(seed * 0x2545f4914f6cdd1du + static_cast<std::uint64_t>(number));
    RandomCase result;
    for (;;) {
        Problem problem;
        const bool fours = even && random.one_in(2);
        const std::int64_t multiple = fours ? 4 : 1;
        const std::int64_t height = extent(random), width = (extent(random) + multiple - 1) / multiple * multiple;
        const std::int64_t images = random.one_in(25) ? 0 : random.between(1, 3),
                           channels = fours ? extent(random) * 4 : random.one_in(5) ? 3 : extent(random);
        problem.input_shape = random.one_in(8) ? Ints{channels, height, width}
                                               : Ints{images, channels, height, width};
        choose_window(random, problem, height, width);
        if (random.one_in(5)) choose_beyond_pytorch(random, problem);
        else if (random.one_in(8)) choose_exact_extents(random, problem);
        const bool lines = !even && problem.dilation.empty() && problem.auto_pad == HALPOOL_AUTO_PAD_NONE && random.one_in(12);
        if (lines) choose_lines(random, problem);
        const Ints shape = output_shape(problem);
        if (shape[shape.size() - 1] < 1 || shape[shape.size() - 2] < 1) continue;
        if (additions(problem) > kMostAdditions) continue;
        if (fours && random.one_in(2) && shape[shape.size() - 1] % 4 != 0) continue;

        // Channels-last pictures of three channels have kernels of their own.
        const bool dense = fours || lines;
        const std::int64_t kind = channels == 3 && random.one_in(2) ? 4 : random.between(0, dense ? 7 : 10);
        result.problem = problem;
        result.input = any_layout(random, problem.input_shape, true, kind);
        // Mostly the input's own format; some callers change it on the way.
        result.output = any_layout(random, shape, false, random.one_in(12) ? random.between(0, 10) : kind);
        break;
    }
    result.values = random_values(random, result.input.count());
    share_values(result.input, result.values);
    return result;
}

RandomCase random_backward_case(std::uint64_t seed, std::int64_t number) {
    RandomCase forward = random_case(seed, number);
    Random random(seed * 0x2545f4914f6cdd1du - static_cast<std::uint64_t>(number));
    std::int64_t kind = random.between(0, 10);
    if (random.one_in(8)) {  // what is written are whole cache lines
        choose_lines(random, forward.problem);
        forward.problem.stride = {random.between(2, 3)};
        forward.problem.input_shape[1] = 16 * random.between(1, 6);
        forward.problem.input_shape[3] = 16 * random.between(1, 6);
        forward.problem.auto_pad = HALPOOL_AUTO_PAD_NONE;
        forward.problem.dilation = {};
        kind = random.between(0, 7);
    }
    RandomCase result{forward.problem, any_layout(random, output_shape(forward.problem), true, kind),
                      any_layout(random, forward.problem.input_shape, false, random.one_in(12) ? random.between(0, 10) : kind), {}};
    result.values = random_values(random, result.input.count());
    share_values(result.input, result.values);
    return result;
}

}  // namespace halpool_test
