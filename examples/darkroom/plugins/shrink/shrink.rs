//! Makes a picture half as wide and half as high: each pixel is the mean of four, rounded. An odd row or column at the
//! end is left out, unless it is the only one.
mod bindings;

use bindings::latebind::{lb_bytes, Context, Result, State};
use bindings::{darkroom_filter, host_progress};

pub struct Plugin;

impl State for Plugin {
    const ID: &'static str = "darkroom.shrink";
    const VERSION: &'static str = "1.0.0";

    fn new(_: &mut Context, _config: &str) -> Result<Self> {
        Ok(Plugin)
    }
}

impl darkroom_filter::Provides for Plugin {
    fn apply(&self, ctx: &mut Context, picture: &darkroom_filter::Picture) -> Result<darkroom_filter::Picture> {
        let (width, height, channels) = (picture.width as usize, picture.height as usize, picture.channels as usize);
        let pixels = picture.pixels.as_slice();
        let size = width.checked_mul(height).and_then(|area| area.checked_mul(channels));
        if size != Some(pixels.len()) || pixels.is_empty() {
            return Err("the pixels are not as many as width, height and channels say".into());
        }
        let (across, down) = ((width / 2).max(1), (height / 2).max(1));
        let mut small = Vec::with_capacity(across * down * channels);
        let at = |x: usize, y: usize, c: usize| pixels[(y.min(height - 1) * width + x.min(width - 1)) * channels + c] as u32;
        for y in 0..down {
            for x in 0..across {
                for c in 0..channels {
                    let (left, top) = (2 * x, 2 * y);
                    let sum = at(left, top, c) + at(left + 1, top, c) + at(left, top + 1, c) + at(left + 1, top + 1, c);
                    small.push(((sum + 2) / 4) as u8);
                }
            }
        }
        host_progress::step(ctx, picture.name.as_str(), "shrunk")?;
        let copied = ctx.copy(&small);
        Ok(darkroom_filter::Picture {
            name: picture.name,
            width: across as u32,
            height: down as u32,
            channels: picture.channels,
            pixels: lb_bytes { data: copied.data, size: copied.size },
        })
    }
}
