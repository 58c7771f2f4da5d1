#include <Halide.h>

// ramp(x, y) = scale * (x + 4 * y) + 1, its rows on the threads of Halide's runtime.
class Ramp : public Halide::Generator<Ramp> {
public:
    Input<float> scale{"scale"};
    Output<Buffer<float, 2>> ramp{"ramp"};

    void generate() {
        Halide::Var x{"x"}, y{"y"};
        ramp(x, y) = scale * (x + 4 * y) + 1;
        ramp.parallel(y);
    }
};

HALIDE_REGISTER_GENERATOR(Ramp, ramp)
