// Colours taken through a linear map.
#include "pixel.cuh"

// trickle_media::frame::ColorMap.
struct ColorMap {
    float weights[9];
    float offset[3];
};

__device__ __forceinline__ float mapped(const Rgb& c, const ColorMap& m, u32 channel) {
    return dot(c, m.weights + 3 * channel) + m.offset[channel];
}

// One thread per pixel. `dst` has the size and channels of `src`; one channel is R, G and B alike
// and becomes the new R, a fourth is copied.
extern "C" __global__ void map_colors(Tensor src, Tensor dst, ColorMap m) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= dst.width || y >= dst.height) return;
    size_t at = ((size_t)y * dst.width + x) * dst.channels;
    const float* p = src.data + at;
    float* out = dst.data + at;
    Rgb c;
    c.r = p[0];
    if (dst.channels == 1) {
        c.g = c.r;
        c.b = c.r;
        out[0] = mapped(c, m, 0);
        return;
    }
    c.g = p[1];
    c.b = p[2];
    out[0] = mapped(c, m, 0);
    out[1] = mapped(c, m, 1);
    out[2] = mapped(c, m, 2);
    if (dst.channels == 4) out[3] = p[3];
}
