/* Opens the plugin, pools on four threads or on the device that the second argument numbers, closes it, and checks that
 * nothing of it is left; twenty times. A device's driver is not the plugin's: its threads may stay, but not add up. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*pool_function)(int32_t, const float *, float *, int64_t, int64_t, int32_t);

enum { cpu = 1 }; /* HALPOOL_DEVICE_CPU: the host includes nothing of halpool */
enum { channels = 64, side = 64, pixel_count = channels * side * side };

static void require(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

static int thread_count(void) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    require(tasks != NULL, "/proc/self/task opens");
    while (readdir(tasks)) ++count;
    closedir(tasks);
    return count - 2; /* "." and ".." */
}

static void pool_in_plugin(const char *path, int32_t device, const float *pixels, float *pooled) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    pool_function pool;
    if (!plugin) fprintf(stderr, "%s\n", dlerror());
    require(plugin != NULL, "the plugin opens");
    *(void **)&pool = dlsym(plugin, "plugin_pool");
    require(pool != NULL, "the plugin has plugin_pool");
    require(pool(device, pixels, pooled, channels, side, 4) == 0, "the plugin pools");
    require(device != cpu || thread_count() > 1, "halpool's pool has started");
    require(dlclose(plugin) == 0, "the plugin closes");
    require(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL, "the plugin is unloaded");
}

/* A handler left behind by the plugin would run in memory that is gone. */
static void fork_a_child(void) {
    int status = 1;
    pid_t child = fork();
    if (child == 0) _exit(0);
    require(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child starts after that");
}

int main(int argc, char **argv) {
    float *pixels = malloc(pixel_count * sizeof *pixels), *pooled = malloc(pixel_count / 4 * sizeof *pooled);
    const int32_t device = argc == 3 ? atoi(argv[2]) : cpu;
    int i, round, left = 1;
    require(argc >= 2 && pixels && pooled, "the plugin's path is given");
    for (i = 0; i < pixel_count; ++i) pixels[i] = (float)(i % side + i / side % side); /* column + row */

    for (round = 0; round < 20; ++round) {
        for (i = 0; i < pixel_count / 4; ++i) pooled[i] = -1.0f;
        pool_in_plugin(argv[1], device, pixels, pooled);
        for (i = 0; i < pixel_count / 4; ++i) {
            const int x = i % (side / 2), y = i / (side / 2) % (side / 2);
            require(pooled[i] == (float)(2 * x + 2 * y + 1), "every mean is right");
        }
        if (device != cpu && round == 0) left = thread_count();
        require(thread_count() == left, "no thread is left");
        fork_a_child();
    }
    free(pixels);
    free(pooled);
    return 0;
}
