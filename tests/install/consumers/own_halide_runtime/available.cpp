// Whether halpool can use the device that the argument names; prints why.
#include <halpool/halpool.hpp>

#include <cstdio>

int main(int argc, char **argv) {
    for (const halpool::DeviceInfo &device : halpool::devices()) {
        if (argc != 2 || device.name != argv[1]) continue;
        std::printf("%s: %s\n", argv[1], device.reason.c_str());
        return device.available ? 0 : 1;
    }
    std::printf("this halpool has no kernels for the device\n");
    return 1;
}
