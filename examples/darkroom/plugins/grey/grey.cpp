/* Makes a picture grey: the luma of ITU-R BT.601, rounded. `make FLAGS=-DINVERTED` makes a negative of it. */
#include "darkroom_filter.hpp"
#include "host_progress.h"

LATEBIND_PLUGIN("darkroom.grey", "1.0.0")
LATEBIND_PROVIDES(darkroom_filter)
LATEBIND_REQUIRES(host_progress)

#ifdef INVERTED
constexpr unsigned shown(unsigned luma) { return 255 - luma; }
#else
constexpr unsigned shown(unsigned luma) { return luma; }
#endif

namespace {

using latebind::Context;
using Picture = darkroom_filter_Picture;

class Grey : public darkroom::filter::Plugin {
public:
    Grey(Context &, std::string_view) {}

    Picture apply(Context &ctx, const Picture &picture) override
    {
        std::uint64_t area = std::uint64_t{picture.width} * picture.height;
        if (picture.channels < 1 || picture.channels > 4 || picture.pixels.size / picture.channels != area ||
            picture.pixels.size % picture.channels)
            throw std::invalid_argument("the pixels are not as many as width, height and channels say");
        bool coloured = picture.channels > 2, alpha = picture.channels % 2 == 0;
        unsigned channels = alpha ? 2 : 1;
        auto *pixels = ctx.allocate<std::uint8_t>(area * channels + 1);
        const std::uint8_t *from = picture.pixels.data;
        for (std::uint8_t *to = pixels; to < pixels + area * channels; to += channels, from += picture.channels) {
            unsigned luma = coloured ? (299u * from[0] + 587u * from[1] + 114u * from[2] + 500u) / 1000u : from[0];
            to[0] = static_cast<std::uint8_t>(shown(luma));
            if (alpha)
                to[1] = from[picture.channels - 1];
        }
        ctx.check(host_progress_step(ctx.raw(), picture.name, lb_text("grey")));
        return {picture.name, picture.width, picture.height, channels, {pixels, area * channels}};
    }
};

} // namespace

LATEBIND_STATE(Grey)
LATEBIND_EXPORT_darkroom_filter(Grey)
