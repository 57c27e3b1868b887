// The picture, darker towards its edges.

// One thread per pixel. Both tensors are f32 [height, width, channels], packed; a fourth channel
// is copied. What a pixel keeps falls with the square of its distance from the centre, from 1
// there to 1 - strength in the corners.
extern "C" __global__ void vignette(
    const float* src, float* dst, unsigned width, unsigned height, unsigned channels, float strength
) {
    unsigned x = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    float dx = ((float)x + 0.5f) / (float)width * 2.0f - 1.0f;
    float dy = ((float)y + 0.5f) / (float)height * 2.0f - 1.0f;
    float kept = 1.0f - strength * ((dx * dx + dy * dy) * 0.5f);
    size_t at = ((size_t)y * width + x) * channels;
    for (unsigned c = 0; c < channels; c++) {
        float value = src[at + c];
        dst[at + c] = c < 3 ? value * kept : value;
    }
}
