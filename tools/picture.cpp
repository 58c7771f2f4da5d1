#include "picture.hpp"

#include <png.h>
#include <turbojpeg.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace halpool::cli {

namespace {

// A few bytes of file can announce a picture of any size; none of these is worth the memory.
constexpr std::uint64_t max_pixels = std::uint64_t{1} << 28;
constexpr int jpeg_quality = 95;

// Rows of interleaved 8-bit channels.
struct Pixels {
    std::int64_t width, height, channels;
    std::vector<unsigned char> values;
};

[[noreturn]] void fail(const char *action, const std::string &name, const std::string &cause) {
    throw std::runtime_error(std::string("cannot ") + action + " '" + name + "': " + cause);
}

void check_pixel_count(const char *action, std::uint64_t width, std::uint64_t height, const std::string &name) {
    std::uint64_t pixels = 0;
    if (__builtin_mul_overflow(width, height, &pixels) || pixels > max_pixels)
        fail(action, name, "a picture of " + std::to_string(width) + " x " + std::to_string(height) +
                               " pixels is too large");
}

Pixels make_pixels(std::int64_t width, std::int64_t height, std::int64_t channels) {
    const auto bytes = static_cast<std::size_t>(width * height * channels);
    return {width, height, channels, std::vector<unsigned char>(bytes)};
}

// ---- PNG, by libpng's simplified API: it reports errors by return value, without setjmp. ----

class PngImage {
public:
    PngImage() {
        std::memset(&image_, 0, sizeof image_);
        image_.version = PNG_IMAGE_VERSION;
    }
    PngImage(const PngImage &) = delete;
    PngImage &operator=(const PngImage &) = delete;
    ~PngImage() { png_image_free(&image_); }
    png_image *operator->() noexcept { return &image_; }
    png_image *get() noexcept { return &image_; }

private:
    png_image image_;
};

Pixels decode_png(const std::vector<unsigned char> &file, const std::string &name) {
    PngImage image;
    if (!png_image_begin_read_from_memory(image.get(), file.data(), file.size()))
        fail("read", name, image->message);
    if (image->format & PNG_FORMAT_FLAG_LINEAR) fail("read", name, "only pictures of 8 bits a channel are read");
    image->format = image->format & PNG_FORMAT_FLAG_ALPHA   ? PNG_FORMAT_RGBA
                    : image->format & PNG_FORMAT_FLAG_COLOR ? PNG_FORMAT_RGB
                                                            : PNG_FORMAT_GRAY;
    check_pixel_count("read", image->width, image->height, name);
    Pixels pixels = make_pixels(image->width, image->height, PNG_IMAGE_SAMPLE_CHANNELS(image->format));
    if (!png_image_finish_read(image.get(), nullptr, pixels.values.data(), 0, nullptr))
        fail("read", name, image->message);
    return pixels;
}

std::vector<unsigned char> encode_png(const Pixels &pixels, const std::string &name) {
    PngImage image;
    image->width = static_cast<png_uint_32>(pixels.width);
    image->height = static_cast<png_uint_32>(pixels.height);
    image->format = pixels.channels == 1   ? PNG_FORMAT_GRAY
                    : pixels.channels == 3 ? PNG_FORMAT_RGB
                                           : PNG_FORMAT_RGBA;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(*image.get());
    std::vector<unsigned char> file(size);
    if (!png_image_write_to_memory(image.get(), file.data(), &size, 0, pixels.values.data(), 0, nullptr))
        fail("write", name, image->message);
    file.resize(size);
    return file;
}

// ---- JPEG, by TurboJPEG ----

struct DestroyTurboJpeg {
    void operator()(void *handle) const noexcept { tjDestroy(handle); }
};
using TurboJpeg = std::unique_ptr<void, DestroyTurboJpeg>;

Pixels decode_jpeg(const std::vector<unsigned char> &file, const std::string &name) {
    const TurboJpeg decoder(tjInitDecompress());
    if (!decoder) throw std::bad_alloc();
    int width = 0, height = 0, subsampling = 0, colorspace = 0;
    if (tjDecompressHeader3(decoder.get(), file.data(), static_cast<unsigned long>(file.size()), &width, &height,
                            &subsampling, &colorspace) != 0)
        fail("read", name, tjGetErrorStr2(decoder.get()));
    if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK)
        fail("read", name, "only gray and RGB pictures are read, this one is CMYK");
    const bool gray = colorspace == TJCS_GRAY;
    check_pixel_count("read", static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), name);
    Pixels pixels = make_pixels(width, height, gray ? 1 : 3);
    // Warnings count as failures: a truncated file is one, and its missing rows are gray.
    if (tjDecompress2(decoder.get(), file.data(), static_cast<unsigned long>(file.size()), pixels.values.data(),
                      width, 0, height, gray ? TJPF_GRAY : TJPF_RGB, TJFLAG_LIMITSCANS) != 0)
        fail("read", name, tjGetErrorStr2(decoder.get()));
    return pixels;
}

std::vector<unsigned char> encode_jpeg(const Pixels &pixels, const std::string &name) {
    const TurboJpeg encoder(tjInitCompress());
    if (!encoder) throw std::bad_alloc();
    unsigned char *data = nullptr;
    unsigned long size = 0;
    const bool gray = pixels.channels == 1;
    const int failed = tjCompress2(encoder.get(), pixels.values.data(), static_cast<int>(pixels.width), 0,
                                   static_cast<int>(pixels.height), gray ? TJPF_GRAY : TJPF_RGB, &data, &size,
                                   gray ? TJSAMP_GRAY : TJSAMP_444, jpeg_quality, 0);
    const std::unique_ptr<unsigned char, void (*)(unsigned char *)> owner(data, tjFree);
    if (failed) fail("write", name, tjGetErrorStr2(encoder.get()));
    return std::vector<unsigned char>(data, data + size);
}

// ---- Pixels and arrays ----

unsigned char to_byte(float value) {
    if (!(value > 0.0f)) return 0;
    return value < 255.0f ? static_cast<unsigned char>(std::nearbyint(value)) : 255;
}

}  // namespace

Array decode_picture(PictureFormat format, const std::vector<unsigned char> &file, const std::string &name) {
    const Pixels pixels = format == PictureFormat::png ? decode_png(file, name) : decode_jpeg(file, name);
    const Shape shape{1, pixels.channels, pixels.height, pixels.width};
    // With one channel both memory formats are the same bytes; planar kernels are the ones made for that.
    Array array = make_array(TensorDesc(
        shape, DType::f32, pixels.channels == 1 ? MemoryFormat::contiguous : MemoryFormat::channels_last));
    auto *values = static_cast<float *>(array.data());
    for (std::size_t i = 0; i < pixels.values.size(); ++i) values[i] = pixels.values[i];
    return array;
}

void check_picture(PictureFormat format, const TensorDesc &desc, const std::string &name) {
    const Shape &shape = desc.shape();
    const auto refuse = [&](const std::string &cause) { fail("write", name, cause); };
    if (desc.dtype() != DType::f32) refuse("a picture is made of float32 values only");
    if (shape.size() != 3 && shape.size() != 4) refuse("a picture needs a result of the shape [1, C, H, W]");
    if (shape.size() == 4 && shape[0] != 1)
        refuse("a picture holds one image, but the result has a batch of " + std::to_string(shape[0]));
    const std::int64_t channels = shape[shape.size() - 3];
    if (format == PictureFormat::jpeg && channels == 4) refuse("JPEG has no alpha channel; write a .png");
    if (channels != 1 && channels != 3 && channels != 4)
        refuse("a picture has 1 (gray), 3 (RGB) or 4 (RGBA) channels, but the result has " +
               std::to_string(channels));
    check_pixel_count("write", static_cast<std::uint64_t>(shape[shape.size() - 1]),
                      static_cast<std::uint64_t>(shape[shape.size() - 2]), name);
}

std::vector<unsigned char> encode_picture(PictureFormat format, const Array &array, const std::string &name) {
    check_picture(format, array.desc, name);
    const Shape shape(array.desc.shape().end() - 3, array.desc.shape().end());
    const Shape strides(array.desc.strides().end() - 3, array.desc.strides().end());
    Pixels pixels = make_pixels(shape[2], shape[1], shape[0]);
    const auto *values = static_cast<const float *>(array.data());
    std::size_t next = 0;
    for (std::int64_t y = 0; y < shape[1]; ++y)
        for (std::int64_t x = 0; x < shape[2]; ++x)
            for (std::int64_t c = 0; c < shape[0]; ++c)
                pixels.values[next++] = to_byte(values[c * strides[0] + y * strides[1] + x * strides[2]]);
    return format == PictureFormat::png ? encode_png(pixels, name) : encode_jpeg(pixels, name);
}

}  // namespace halpool::cli
