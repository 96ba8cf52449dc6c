// Images NHWC resampled by whole factors: every pixel repeated, or windows summed, and the gradient of the latter.
//
// Launch     one thread for each element of the output, 1-D, 256 threads a block.
// Bytes      4 (input + output): every input element is read by neighbouring threads or once. Flops: one for each element summed.
// Limit      memory; the divisions that find an element's pixel come next.
#include "common.cuh"

// The large image x[batch, height, width, channels] for a sum over windows; the small one for repeating.
struct ResampleGeometry
{
    int batch, height, width, channels, factor_height, factor_width;
};

struct Pixel
{
    int n, row, column, channel;
};

// Where element i of an image of height x width lies.
__device__ __forceinline__ Pixel pixel_of(unsigned i, int height, int width, int channels)
{
    unsigned pixel = i / channels, line = pixel / width, n = line / height;
    return {(int)n, (int)(line - n * height), (int)(pixel - line * width), (int)(i - pixel * channels)};
}

// y[batch, height * factor_height, width * factor_width, channels] = the pixel of x[batch, height, width, channels] it came from.
extern "C" __global__ void resampling_upsample_nearest_f32(ResampleGeometry g, int count, const float* __restrict__ x, float* __restrict__ y)
{
    unsigned i = element_index();
    if (i >= count)
        return;
    Pixel p = pixel_of(i, g.height * g.factor_height, g.width * g.factor_width, g.channels);
    y[i] = x[((p.n * g.height + p.row / g.factor_height) * g.width + p.column / g.factor_width) * g.channels + p.channel];
}

// y[batch, height / factor_height, width / factor_width, channels] = scale * the sum over the window of x.
extern "C" __global__ void resampling_pool_sum_f32(
    ResampleGeometry g, int count, float scale, const float* __restrict__ x, float* __restrict__ y)
{
    unsigned i = element_index();
    if (i >= count)
        return;
    Pixel p = pixel_of(i, g.height / g.factor_height, g.width / g.factor_width, g.channels);
    const float* window = x + ((p.n * g.height + p.row * g.factor_height) * g.width + p.column * g.factor_width) * g.channels + p.channel;
    float sum = 0;
    for (int row = 0; row < g.factor_height; row++)
    {
        for (int column = 0; column < g.factor_width; column++)
            sum += window[(row * g.width + column) * g.channels];
    }
    y[i] = scale * sum;
}

// gx[batch, height, width, channels] = scale * gy of the window that the pixel was summed into; 0 outside whole windows.
extern "C" __global__ void resampling_pool_sum_grad_f32(
    ResampleGeometry g, int count, float scale, const float* __restrict__ gy, float* __restrict__ gx)
{
    unsigned i = element_index();
    if (i >= count)
        return;
    Pixel p = pixel_of(i, g.height, g.width, g.channels);
    int height = g.height / g.factor_height, width = g.width / g.factor_width;
    int row = p.row / g.factor_height, column = p.column / g.factor_width;
    gx[i] = row < height && column < width ? scale * gy[((p.n * height + row) * width + column) * g.channels + p.channel] : 0.0f;
}
