#include <Halide.h>

// ramp(x, y) = scale * (x + 4 * y) + 1, on the device of the target; or its rows on the threads of Halide's runtime.
class Ramp : public Halide::Generator<Ramp> {
public:
    Input<float> scale{"scale"};
    Output<Buffer<float, 2>> ramp{"ramp"};

    void generate() {
        Halide::Var x{"x"}, y{"y"}, xi{"xi"}, yi{"yi"};
        ramp(x, y) = scale * (x + 4 * y) + 1;
        if (get_target().has_gpu_feature()) ramp.gpu_tile(x, y, xi, yi, 4, 4);
        else ramp.parallel(y);
    }
};

HALIDE_REGISTER_GENERATOR(Ramp, ramp)
