// NV12 to RGB f32 and back.
#include "pixel.cuh"

// One thread per pixel. `dst` has the size of `src` and three channels.
extern "C" __global__ void nv12_to_rgb(Nv12 src, Tensor dst, Coefficients k) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= dst.width || y >= dst.height) return;
    const u8* pair = src.chroma + (size_t)(y / 2) * src.chroma_pitch + (x / 2) * 2;
    float luma = (float)src.luma[(size_t)y * src.luma_pitch + x];
    Rgb c = to_rgb(luma, (float)pair[0], (float)pair[1], k);
    float* out = dst.data + ((size_t)y * dst.width + x) * 3;
    out[0] = c.r;
    out[1] = c.g;
    out[2] = c.b;
}

// The colour at (x, y), clamped to [0, 1]; one channel is gray, a fourth is ignored.
__device__ __forceinline__ Rgb color_at(const Tensor& t, u32 x, u32 y) {
    const float* p = t.data + ((size_t)y * t.width + x) * t.channels;
    Rgb c;
    c.r = unit(p[0]);
    if (t.channels == 1) {
        c.g = c.r;
        c.b = c.r;
    } else {
        c.g = unit(p[1]);
        c.b = unit(p[2]);
    }
    return c;
}

// One thread per 2×2 block. Chroma is that of the block's mean colour; at odd edges the last
// column or row counts twice.
extern "C" __global__ void rgb_to_nv12(Tensor src, Nv12 dst, Coefficients k) {
    u32 x = (blockIdx.x * blockDim.x + threadIdx.x) * 2;
    u32 y = (blockIdx.y * blockDim.y + threadIdx.y) * 2;
    if (x >= dst.width || y >= dst.height) return;
    bool right = x + 1 < dst.width;
    bool below = y + 1 < dst.height;
    u32 x1 = right ? x + 1 : x;
    u32 y1 = below ? y + 1 : y;
    Rgb a = color_at(src, x, y);
    Rgb b = color_at(src, x1, y);
    Rgb c = color_at(src, x, y1);
    Rgb d = color_at(src, x1, y1);
    u8* upper = dst.luma + (size_t)y * dst.luma_pitch + x;
    u8* lower = upper + dst.luma_pitch;
    upper[0] = sample(luma_value(a, k));
    if (right) upper[1] = sample(luma_value(b, k));
    if (below) lower[0] = sample(luma_value(c, k));
    if (right && below) lower[1] = sample(luma_value(d, k));
    Rgb mean;
    mean.r = ((a.r + c.r) + (b.r + d.r)) * 0.25f;
    mean.g = ((a.g + c.g) + (b.g + d.g)) * 0.25f;
    mean.b = ((a.b + c.b) + (b.b + d.b)) * 0.25f;
    u8* pair = dst.chroma + (size_t)(y / 2) * dst.chroma_pitch + x;
    pair[0] = sample(cb_value(mean, k));
    pair[1] = sample(cr_value(mean, k));
}
