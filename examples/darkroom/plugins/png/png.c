/* PNG files, read and written by libpng's simplified interface (libpng-manual.txt, V). */
#include "darkroom_codec.h"

#include <png.h>
#include <string.h>

LATEBIND_PLUGIN("darkroom.png", "1.0.0")
LATEBIND_PROVIDES(darkroom_codec)

#define MOST_PIXELS ((uint64_t)1 << 28)

static png_image empty_image(void)
{
    png_image image;

    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    return image;
}

lb_status darkroom_codec_decode(lb_context *ctx, lb_str name, lb_bytes data, darkroom_codec_Picture *result)
{
    png_image image = empty_image();
    uint8_t *pixels;

    if (!png_image_begin_read_from_memory(&image, data.data, data.size))
        return lb_fail(ctx, "%s: %s", name.data, image.message);
    if ((uint64_t)image.width * image.height > MOST_PIXELS) {
        png_image_free(&image);
        return lb_fail(ctx, "%s: %ux%u pixels are too many", name.data, image.width, image.height);
    }
    image.format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA; /* 8 bits a channel, without a palette */
    pixels = lb_alloc(ctx, PNG_IMAGE_SIZE(image));
    if (!pixels) {
        png_image_free(&image);
        return lb_fail(ctx, "%s: no memory for its pixels", name.data);
    }
    if (!png_image_finish_read(&image, NULL, pixels, 0, NULL))
        return lb_fail(ctx, "%s: %s", name.data, image.message);
    result->name = name;
    result->width = image.width;
    result->height = image.height;
    result->channels = PNG_IMAGE_PIXEL_CHANNELS(image.format);
    result->pixels.data = pixels;
    result->pixels.size = PNG_IMAGE_SIZE(image);
    return LB_OK;
}

lb_status darkroom_codec_encode(lb_context *ctx, const darkroom_codec_Picture *picture, lb_bytes *result)
{
    static const png_uint_32 formats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
    png_image image = empty_image();
    uint64_t area = (uint64_t)picture->width * picture->height;
    png_alloc_size_t size;
    uint8_t *file;

    if (picture->channels < 1 || picture->channels > 4 || area < 1 || area > MOST_PIXELS ||
        area * picture->channels != picture->pixels.size)
        return lb_fail(ctx, "%s: %zu bytes are no picture of %ux%u pixels with %u channels", picture->name.data,
                       picture->pixels.size, picture->width, picture->height, picture->channels);
    image.width = picture->width;
    image.height = picture->height;
    image.format = formats[picture->channels - 1];
    size = PNG_IMAGE_PNG_SIZE_MAX(image);
    file = lb_alloc(ctx, size);
    if (!file)
        return lb_fail(ctx, "%s: no memory for the file", picture->name.data);
    if (!png_image_write_to_memory(&image, file, &size, 0, picture->pixels.data, 0, NULL))
        return lb_fail(ctx, "%s: %s", picture->name.data, image.message);
    result->data = file;
    result->size = size;
    return LB_OK;
}
