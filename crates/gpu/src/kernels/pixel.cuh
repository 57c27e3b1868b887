// What the kernels share: views of pictures, and the arithmetic of one pixel.
//
// Every expression is evaluated as written, in f32, without fused multiply-add (--fmad=false),
// so that a scalar program that follows the same order gets the same bits.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;

// An NV12 picture. Pitches are in bytes; chroma has (width + 1) / 2 pairs in (height + 1) / 2 rows.
struct Nv12 {
    u8* luma;
    u8* chroma;
    u32 luma_pitch;
    u32 chroma_pitch;
    u32 width;
    u32 height;
};

// Interleaved f32, [height, width, channels], packed.
struct Tensor {
    float* data;
    u32 width;
    u32 height;
    u32 channels;
    u32 reserved;
};

// RGBA, 8 bits, straight alpha, laid over a picture with its corner at (x, y).
struct Overlay {
    const u8* data;
    u32 pitch;
    u32 width;
    u32 height;
    u32 x;
    u32 y;
    u32 reserved;
};

// trickle_media::convert::reference::Coefficients, whose documentation has the formula: matrix
// and range are in the numbers.
struct Coefficients {
    float luma_offset;
    float luma_scale;
    float cb_to_rgb[3];
    float cr_to_rgb[3];
    float rgb_to_y[3];
    float rgb_to_cb[3];
    float rgb_to_cr[3];
};

// Which part of the source a resized picture shows: destination column x has its centre at
// source column (x + 0.5) * step_x + left - 0.5, rows alike.
struct Window {
    float left;
    float top;
    float step_x;
    float step_y;
};

struct Rgb {
    float r, g, b;
};

// To [0, 1]; NaN becomes 0.
__device__ __forceinline__ float unit(float v) {
    return __saturatef(v);
}

// To the nearest sample value, ties to even, clamped.
__device__ __forceinline__ u8 sample(float v) {
    return (u8)__float2uint_rn(fminf(v, 255.0f));
}

__device__ __forceinline__ float channel(float luma, float cb, float cr, float of_cb, float of_cr) {
    float chroma = cb * of_cb + cr * of_cr;
    return unit(luma + chroma);
}

__device__ __forceinline__ Rgb to_rgb(float y, float cb, float cr, const Coefficients& k) {
    float luma = (y - k.luma_offset) * k.luma_scale;
    cb = cb - 128.0f;
    cr = cr - 128.0f;
    Rgb out;
    out.r = channel(luma, cb, cr, k.cb_to_rgb[0], k.cr_to_rgb[0]);
    out.g = channel(luma, cb, cr, k.cb_to_rgb[1], k.cr_to_rgb[1]);
    out.b = channel(luma, cb, cr, k.cb_to_rgb[2], k.cr_to_rgb[2]);
    return out;
}

__device__ __forceinline__ float dot(const Rgb& c, const float* by) {
    return (c.r * by[0] + c.g * by[1]) + c.b * by[2];
}

__device__ __forceinline__ float luma_value(const Rgb& c, const Coefficients& k) {
    return dot(c, k.rgb_to_y) + k.luma_offset;
}

__device__ __forceinline__ float cb_value(const Rgb& c, const Coefficients& k) {
    return dot(c, k.rgb_to_cb) + 128.0f;
}

__device__ __forceinline__ float cr_value(const Rgb& c, const Coefficients& k) {
    return dot(c, k.rgb_to_cr) + 128.0f;
}
