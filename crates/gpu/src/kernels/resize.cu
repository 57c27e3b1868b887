// Resize with a triangle filter, whole or part of the source: bilinear where the picture grows,
// every source pixel weighed where it shrinks, so that nothing flickers.
#include "pixel.cuh"

// The source columns (or rows) that one destination pixel is made of.
struct Taps {
    u32 first;
    u32 last;
    float centre;
    float inverse_reach;
};

__device__ __forceinline__ Taps taps(u32 at, float origin, float step, u32 length) {
    float reach = fmaxf(step, 1.0f);
    Taps t;
    t.centre = ((float)at + 0.5f) * step + origin - 0.5f;
    t.inverse_reach = 1.0f / reach;
    float last = (float)(length - 1);
    t.first = (u32)fminf(fmaxf(ceilf(t.centre - reach), 0.0f), last);
    t.last = (u32)fminf(fmaxf(floorf(t.centre + reach), 0.0f), last);
    return t;
}

__device__ __forceinline__ float weight(const Taps& t, u32 at) {
    return fmaxf(1.0f - fabsf((float)at - t.centre) * t.inverse_reach, 0.0f);
}

// Sum of the weights: what a filtered value is divided by. A single tap at the edge may weigh 0.
__device__ __forceinline__ float total(const Taps& t) {
    float sum = 0.0f;
    for (u32 at = t.first; at <= t.last; at++) sum = sum + weight(t, at);
    return sum;
}

// The filtered value of the samples `p[row * pitch + column * stride]`.
template <typename T>
__device__ __forceinline__ float filter(const T* p, u32 pitch, u32 stride, const Taps& h, const Taps& v) {
    float sum = 0.0f;
    for (u32 y = v.first; y <= v.last; y++) {
        const T* row = p + (size_t)y * pitch;
        float line = 0.0f;
        for (u32 x = h.first; x <= h.last; x++) {
            line = line + weight(h, x) * (float)row[(size_t)x * stride];
        }
        sum = sum + weight(v, y) * line;
    }
    return sum / (total(h) * total(v));
}

// Chroma columns (or rows) of a window of luma: everything at half the size.
__device__ __forceinline__ u32 half_up(u32 length) {
    return (length + 1) / 2;
}

// One thread per destination pixel: crop, resize and conversion in one step.
extern "C" __global__ void nv12_to_rgb_resized(Nv12 src, Window w, Tensor dst, Coefficients k) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= dst.width || y >= dst.height) return;
    Taps h = taps(x, w.left, w.step_x, src.width);
    Taps v = taps(y, w.top, w.step_y, src.height);
    Taps ch = taps(x, w.left * 0.5f, w.step_x * 0.5f, half_up(src.width));
    Taps cv = taps(y, w.top * 0.5f, w.step_y * 0.5f, half_up(src.height));
    float luma = filter(src.luma, src.luma_pitch, 1, h, v);
    float cb = filter(src.chroma, src.chroma_pitch, 2, ch, cv);
    float cr = filter(src.chroma + 1, src.chroma_pitch, 2, ch, cv);
    Rgb c = to_rgb(luma, cb, cr, k);
    float* out = dst.data + ((size_t)y * dst.width + x) * 3;
    out[0] = c.r;
    out[1] = c.g;
    out[2] = c.b;
}

// One thread per 2×2 block of the destination.
extern "C" __global__ void resize_nv12(Nv12 src, Window w, Nv12 dst) {
    u32 bx = blockIdx.x * blockDim.x + threadIdx.x;
    u32 by = blockIdx.y * blockDim.y + threadIdx.y;
    if (bx >= half_up(dst.width) || by >= half_up(dst.height)) return;
    for (u32 y = by * 2; y < dst.height && y < by * 2 + 2; y++) {
        Taps v = taps(y, w.top, w.step_y, src.height);
        for (u32 x = bx * 2; x < dst.width && x < bx * 2 + 2; x++) {
            Taps h = taps(x, w.left, w.step_x, src.width);
            dst.luma[(size_t)y * dst.luma_pitch + x] = sample(filter(src.luma, src.luma_pitch, 1, h, v));
        }
    }
    Taps h = taps(bx, w.left * 0.5f, w.step_x, half_up(src.width));
    Taps v = taps(by, w.top * 0.5f, w.step_y, half_up(src.height));
    u8* pair = dst.chroma + (size_t)by * dst.chroma_pitch + bx * 2;
    pair[0] = sample(filter(src.chroma, src.chroma_pitch, 2, h, v));
    pair[1] = sample(filter(src.chroma + 1, src.chroma_pitch, 2, h, v));
}

// One thread per destination pixel; `dst` has the channels of `src`.
extern "C" __global__ void resize_tensor(Tensor src, Window w, Tensor dst) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= dst.width || y >= dst.height) return;
    Taps h = taps(x, w.left, w.step_x, src.width);
    Taps v = taps(y, w.top, w.step_y, src.height);
    float* out = dst.data + ((size_t)y * dst.width + x) * dst.channels;
    for (u32 c = 0; c < dst.channels; c++) {
        out[c] = filter(src.data + c, src.width * src.channels, src.channels, h, v);
    }
}
