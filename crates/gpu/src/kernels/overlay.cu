// An RGBA picture blended over a frame, in place.
#include "pixel.cuh"

struct Blend {
    Rgb color;
    float alpha;
};

__device__ __forceinline__ Blend blend_at(const Overlay& o, u32 x, u32 y) {
    const u8* p = o.data + (size_t)y * o.pitch + (size_t)x * 4;
    Blend s;
    s.color.r = (float)p[0] / 255.0f;
    s.color.g = (float)p[1] / 255.0f;
    s.color.b = (float)p[2] / 255.0f;
    s.alpha = (float)p[3] / 255.0f;
    return s;
}

__device__ __forceinline__ float mix(float under, float over, float alpha) {
    return under + (over - under) * alpha;
}

// One thread per pixel of the overlay. What hangs over the frame's edge is left out.
extern "C" __global__ void overlay_tensor(Tensor frame, Overlay o) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= o.width || y >= o.height) return;
    u32 fx = o.x + x;
    u32 fy = o.y + y;
    if (fx >= frame.width || fy >= frame.height) return;
    Blend s = blend_at(o, x, y);
    float* p = frame.data + ((size_t)fy * frame.width + fx) * frame.channels;
    p[0] = mix(p[0], s.color.r, s.alpha);
    p[1] = mix(p[1], s.color.g, s.alpha);
    p[2] = mix(p[2], s.color.b, s.alpha);
}

// One thread per chroma pair of the frame that the overlay touches: the block with its corner at
// (2 * (o.x / 2), 2 * (o.y / 2)) is the first. A pair takes the mean of its four pixels' blends.
extern "C" __global__ void overlay_nv12(Nv12 frame, Overlay o, Coefficients k) {
    u32 bx = o.x / 2 + blockIdx.x * blockDim.x + threadIdx.x;
    u32 by = o.y / 2 + blockIdx.y * blockDim.y + threadIdx.y;
    if (bx * 2 >= frame.width || by * 2 >= frame.height) return;
    if (bx * 2 >= o.x + o.width || by * 2 >= o.y + o.height) return;
    u8* pair = frame.chroma + (size_t)by * frame.chroma_pitch + bx * 2;
    float cb = (float)pair[0];
    float cr = (float)pair[1];
    float cb_sum = 0.0f;
    float cr_sum = 0.0f;
    float count = 0.0f;
    for (u32 y = by * 2; y < by * 2 + 2 && y < frame.height; y++) {
        for (u32 x = bx * 2; x < bx * 2 + 2 && x < frame.width; x++) {
            count = count + 1.0f;
            if (x < o.x || y < o.y || x - o.x >= o.width || y - o.y >= o.height) {
                cb_sum = cb_sum + cb;
                cr_sum = cr_sum + cr;
                continue;
            }
            Blend s = blend_at(o, x - o.x, y - o.y);
            u8* luma = frame.luma + (size_t)y * frame.luma_pitch + x;
            *luma = sample(mix((float)*luma, luma_value(s.color, k), s.alpha));
            cb_sum = cb_sum + mix(cb, cb_value(s.color, k), s.alpha);
            cr_sum = cr_sum + mix(cr, cr_value(s.color, k), s.alpha);
        }
    }
    pair[0] = sample(cb_sum / count);
    pair[1] = sample(cr_sum / count);
}
