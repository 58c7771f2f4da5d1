#include "device_arguments.hpp"

using namespace Halide;

namespace halpool {

Expr DeviceArguments::fixed(const ElementType &element) const {
    if (element.factor == Float(32)) return fixed_divisor;
    if (element.factor == Int(32)) return fixed_divisor_low;
    return cast(element.factor, (cast<int64_t>(fixed_divisor_high) << 32) | cast<int64_t>(cast<uint32_t>(fixed_divisor_low)));
}

Expr DeviceArguments::divisor(const ElementType &element, const WindowAxis &x, const WindowAxis &y, const Expr &ox, const Expr &oy, bool dilated) const {
    const auto factor = [&](const WindowAxis &axis, const Expr &o, const Expr &begin, const Expr &end) {
        Expr start = o * axis.stride - axis.pad_begin;
        const auto taps_before = [&](const Expr &i) { return clamp((i - start + axis.dilation - 1) / axis.dilation, 0, axis.kernel); };
        return cast(element.factor, max(1, dilated ? taps_before(end) - taps_before(begin) : min(start + axis.kernel, end) - max(start, begin)));
    };
    return cast(element.factor, own_divisor) * (factor(y, oy, begin_h, end_h) * factor(x, ox, begin_w, end_w)) + fixed(element);
}

}  // namespace halpool
