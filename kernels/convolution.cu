// Convolutions (cross-correlations) of images NHWC, all three passes as one matrix product whose operands are read where they lie:
// no patches are stored ("implicit GEMM"). x[Batch, Height, Width, InChannels], w[OutChannels, KernelHeight, KernelWidth,
// InChannels / Groups], y[Batch, OutHeight, OutWidth, OutChannels]; pixels outside of the image are zeros.
//
//   kernel                     rows of the product    columns                 summed over
//   conv2d_forward_*           pixels of y            output channels         taps x input channels
//   conv2d_grad_input_*        pixels of x            input channels          taps x output channels
//   conv2d_grad_weight_*       output channels        taps x input channels   pixels of y
//
// Launch     grid products * ceil(rows of the product / rows) * ceil(columns of the product / columns), with the products
//            forward: Groups; grad_input: Groups * phases, rows being those of the largest phase; grad_weight: Groups * parts.
//            Blocks of rows * columns / 16 threads, no dynamic shared memory; the tile, rows x columns, is in the name.
// Bytes      at best 4 (x + w + y); every tile reads its own: x is read ceil(columns of the product / columns) times by forward,
//            from the caches as far as neighbouring taps share pixels. Flops 2 * pixels of y * OutChannels * taps * InChannels / Groups.
// Limit      shared memory (32 bytes for 16 multiply-adds) where channels fill the tile; else the addresses, some 10 instructions
//            for every element staged.

#include "tiles.cuh"

struct Conv2dGeometry
{
    int batch, height, width, in_channels, out_channels, kernel_height, kernel_width;
    int stride_height, stride_width, pad_top, pad_bottom, pad_left, pad_right, groups;

    __device__ __forceinline__ int out_height() const { return (height + pad_top + pad_bottom - kernel_height) / stride_height + 1; }
    __device__ __forceinline__ int out_width() const { return (width + pad_left + pad_right - kernel_width) / stride_width + 1; }
    __device__ __forceinline__ int in_group() const { return in_channels / groups; }
    __device__ __forceinline__ int out_group() const { return out_channels / groups; }
};

// So far outside of any image that adding a tap does not lead back into it.
constexpr int outside = -(1 << 30);

// A place in an image: the rows of images before it, its row and its column, both possibly outside.
struct Place
{
    int image, row, column;
};

// A tap of the kernel and a channel of the group.
struct Tap
{
    int row, column, channel;
};

__device__ __forceinline__ Tap tap_of(int index, int kernel_width, int channels)
{
    int tap = index / channels;
    return {tap / kernel_width, tap % kernel_width, index - tap * channels};
}

// The corner of the window of x that output pixel (n, oh, ow) looks at.
__device__ __forceinline__ Place window_of(const Conv2dGeometry& g, int pixel)
{
    int out_width = g.out_width(), out_height = g.out_height();
    int line = pixel / out_width, n = line / out_height;
    return {
        n * g.height,
        (line - n * out_height) * g.stride_height - g.pad_top,
        (pixel - line * out_width) * g.stride_width - g.pad_left};
}

// An element of an image, 0 outside of it.
__device__ __forceinline__ float pixel_at(
    const float* __restrict__ values, int height, int width, int channels, int image, int row, int column, int channel)
{
    if ((unsigned)row >= (unsigned)height || (unsigned)column >= (unsigned)width)
        return 0.0f;
    return values[((image + row) * width + column) * channels + channel];
}

// Forward ---------------------------------------------------------------------------------------------------------------------

// x as a matrix of pixels of y by (tap, input channel).
struct WindowsByTap
{
    static constexpr bool depth_is_contiguous = true;
    using Line = Place;
    using Step = Tap;

    const Conv2dGeometry& g;
    const float* __restrict__ x;
    int first_channel, pixels;

    __device__ __forceinline__ Line line(int pixel) const
    {
        return pixel < pixels ? window_of(g, pixel) : Place{0, outside, outside};
    }

    __device__ __forceinline__ Step step(int index) const { return tap_of(index, g.kernel_width, g.in_group()); }

    __device__ __forceinline__ float at(const Line& line, const Step& tap) const
    {
        return pixel_at(x, g.height, g.width, g.in_channels, line.image, line.row + tap.row, line.column + tap.column, first_channel + tap.channel);
    }
};

// w as a matrix of output channels by (tap, input channel), as it lies in memory.
struct WeightsByOutput
{
    static constexpr bool depth_is_contiguous = true;
    using Line = int;
    using Step = int;

    const float* __restrict__ w;
    int first_channel, channels, taps;

    __device__ __forceinline__ Line line(int channel) const { return channel < channels ? (first_channel + channel) * taps : -1; }

    __device__ __forceinline__ Step step(int index) const { return index; }

    __device__ __forceinline__ float at(Line line, Step step) const { return line < 0 ? 0.0f : w[line + step]; }
};

// y = x * w + bias[OutChannels] + sampleBias[Batch, OutChannels] + residual (like y); each of the three may be null.
template <class Shape>
__device__ __forceinline__ void conv2d_forward(
    const Conv2dGeometry& g, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    const float* __restrict__ sample_bias, const float* __restrict__ residual, float* __restrict__ y)
{
    int image = g.out_height() * g.out_width(), pixels = g.batch * image;
    int channels = g.out_group(), depth = g.kernel_height * g.kernel_width * g.in_group();
    TilePlace place = tile_place<Shape>(pixels, channels);
    int group = place.product;
    WindowsByTap windows{g, x, group * g.in_group(), pixels};
    WeightsByOutput weights{w, group * channels, channels, depth};
    multiply_tile<Shape>(windows, weights, place, 0, depth,
        [&](int pixel, int channel, float value)
        {
            if (pixel >= pixels || channel >= channels)
                return;
            channel += group * channels;
            int index = pixel * g.out_channels + channel;
            if (bias != nullptr)
                value += bias[channel];
            if (sample_bias != nullptr)
                value += sample_bias[pixel / image * g.out_channels + channel];
            if (residual != nullptr)
                value += residual[index];
            y[index] = value;
        });
}

// Gradient of the input ---------------------------------------------------------------------------------------------------------
// gx[n, h, w, ci] = sum of gy[n, (h + pad_top - kh) / stride, ..., co] w[co, kh, kw, ci] over the taps for which the division leaves
// nothing over. So the pixels of x fall into stride x stride phases by (h + pad_top) % stride, and only every stride-th tap touches a
// phase: within it pixel and tap are counted in strides, and the convolution is one of stride 1.

// One axis of a phase.
struct PhaseAxis
{
    int first;     // the first pixel of x
    int count;     // how many pixels of x
    int first_out;  // where tap 0 of the phase leads from the first pixel
    int taps;      // how many taps
};

__device__ __forceinline__ PhaseAxis phase_axis(int phase, int size, int kernel, int stride, int pad)
{
    int first = (phase + stride - pad % stride) % stride;
    return {
        first,
        first < size ? (size - first + stride - 1) / stride : 0,
        (first + pad - phase) / stride,
        phase < kernel ? (kernel - phase + stride - 1) / stride : 0};
}

// gy as a matrix of the phase's pixels of x by (tap of the phase, output channel).
struct GradientsByTap
{
    static constexpr bool depth_is_contiguous = true;
    using Line = Place;
    using Step = Tap;

    const Conv2dGeometry& g;
    const float* __restrict__ gy;
    PhaseAxis rows, columns;
    int first_channel, pixels;

    __device__ __forceinline__ Line line(int pixel) const
    {
        if (pixel >= pixels)
            return {0, outside, outside};
        int line = pixel / columns.count, n = line / rows.count;
        return {n * g.out_height(), rows.first_out + line - n * rows.count, columns.first_out + pixel - line * columns.count};
    }

    __device__ __forceinline__ Step step(int index) const { return tap_of(index, columns.taps, g.out_group()); }

    __device__ __forceinline__ float at(const Line& line, const Step& tap) const
    {
        return pixel_at(gy, g.out_height(), g.out_width(), g.out_channels, line.image, line.row - tap.row, line.column - tap.column, first_channel + tap.channel);
    }
};

// w as a matrix of input channels by (tap of the phase, output channel).
struct WeightsByInput
{
    static constexpr bool depth_is_contiguous = false;
    using Line = int;
    using Step = int;

    const Conv2dGeometry& g;
    const float* __restrict__ w;
    int phase_row, phase_column, column_taps, first_channel;

    __device__ __forceinline__ Line line(int channel) const { return channel < g.in_group() ? channel : -1; }

    __device__ __forceinline__ Step step(int index) const
    {
        Tap tap = tap_of(index, column_taps, g.out_group());
        int kh = phase_row + tap.row * g.stride_height, kw = phase_column + tap.column * g.stride_width;
        return (((first_channel + tap.channel) * g.kernel_height + kh) * g.kernel_width + kw) * g.in_group();
    }

    __device__ __forceinline__ float at(Line line, Step step) const { return line < 0 ? 0.0f : w[step + line]; }
};

template <class Shape>
__device__ __forceinline__ void conv2d_grad_input(
    const Conv2dGeometry& g, const float* __restrict__ gy, const float* __restrict__ w, float* __restrict__ gx)
{
    int phases = g.stride_height * g.stride_width, channels = g.in_group();
    int most_rows = (g.height + g.stride_height - 1) / g.stride_height, most_columns = (g.width + g.stride_width - 1) / g.stride_width;
    TilePlace place = tile_place<Shape>(g.batch * most_rows * most_columns, channels);
    int group = place.product / phases, phase = place.product % phases;
    int phase_row = phase / g.stride_width, phase_column = phase % g.stride_width;
    PhaseAxis rows = phase_axis(phase_row, g.height, g.kernel_height, g.stride_height, g.pad_top);
    PhaseAxis columns = phase_axis(phase_column, g.width, g.kernel_width, g.stride_width, g.pad_left);
    int pixels = g.batch * rows.count * columns.count;
    if (place.row >= pixels)
        return;
    GradientsByTap gradients{g, gy, rows, columns, group * g.out_group(), pixels};
    WeightsByInput weights{g, w, phase_row, phase_column, columns.taps, group * g.out_group()};
    multiply_tile<Shape>(gradients, weights, place, 0, rows.taps * columns.taps * g.out_group(),
        [&](int pixel, int channel, float value)
        {
            if (pixel >= pixels || channel >= channels)
                return;
            int line = pixel / columns.count, n = line / rows.count;
            int row = rows.first + (line - n * rows.count) * g.stride_height;
            int column = columns.first + (pixel - line * columns.count) * g.stride_width;
            gx[((n * g.height + row) * g.width + column) * g.in_channels + group * channels + channel] = value;
        });
}

// Gradient of the weight --------------------------------------------------------------------------------------------------------
// There are few weights and many pixels, so the pixels are shared out among `parts` blocks for every tile. Each part writes a
// gradient of its own, parts[part][OutChannels][taps][InChannels / Groups]; whoever launches this adds them up in their order.

// gy as a matrix of output channels by pixels.
struct GradientsByPixel
{
    static constexpr bool depth_is_contiguous = false;
    using Line = int;
    using Step = int;

    const float* __restrict__ gy;
    int first_channel, channels, all_channels;

    __device__ __forceinline__ Line line(int channel) const { return channel < channels ? first_channel + channel : -1; }

    __device__ __forceinline__ Step step(int pixel) const { return pixel * all_channels; }

    __device__ __forceinline__ float at(Line line, Step step) const { return line < 0 ? 0.0f : gy[step + line]; }
};

// x as a matrix of (tap, input channel) by pixels of y.
struct WindowsByPixel
{
    static constexpr bool depth_is_contiguous = false;
    using Line = Tap;
    using Step = Place;

    const Conv2dGeometry& g;
    const float* __restrict__ x;
    int first_channel, taps;

    __device__ __forceinline__ Line line(int index) const
    {
        return index < taps ? tap_of(index, g.kernel_width, g.in_group()) : Tap{outside, outside, 0};
    }

    __device__ __forceinline__ Step step(int pixel) const { return window_of(g, pixel); }

    __device__ __forceinline__ float at(const Line& tap, const Step& place) const
    {
        return pixel_at(x, g.height, g.width, g.in_channels, place.image, place.row + tap.row, place.column + tap.column, first_channel + tap.channel);
    }
};

template <class Shape>
__device__ __forceinline__ void conv2d_grad_weight(
    const Conv2dGeometry& g, int pixels_per_part, const float* __restrict__ x, const float* __restrict__ gy, float* __restrict__ parts)
{
    int channels = g.out_group(), taps = g.kernel_height * g.kernel_width * g.in_group();
    TilePlace place = tile_place<Shape>(channels, taps);
    int group = place.product % g.groups, part = place.product / g.groups;
    int pixels = g.batch * g.out_height() * g.out_width();
    int begin = part * pixels_per_part, end = min(pixels, begin + pixels_per_part);
    GradientsByPixel gradients{gy, group * channels, channels, g.out_channels};
    WindowsByPixel windows{g, x, group * g.in_group(), taps};
    float* __restrict__ to = parts + (long long)part * g.out_channels * taps;
    multiply_tile<Shape>(gradients, windows, place, begin, end,
        [&](int channel, int index, float value)
        {
            if (channel < channels && index < taps)
                to[(group * channels + channel) * taps + index] = value;
        });
}

#define CONV2D(rows, columns)                                                                                                \
    extern "C" __global__ void __launch_bounds__(TileShape<rows, columns>::Threads, 1) conv2d_forward_##rows##x##columns##_f32( \
        Conv2dGeometry g, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,          \
        const float* __restrict__ sample_bias, const float* __restrict__ residual, float* __restrict__ y)                    \
    {                                                                                                                        \
        conv2d_forward<TileShape<rows, columns>>(g, x, w, bias, sample_bias, residual, y);                                   \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(TileShape<rows, columns>::Threads, 1) conv2d_grad_input_##rows##x##columns##_f32( \
        Conv2dGeometry g, const float* __restrict__ gy, const float* __restrict__ w, float* __restrict__ gx)                 \
    {                                                                                                                        \
        conv2d_grad_input<TileShape<rows, columns>>(g, gy, w, gx);                                                           \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(TileShape<rows, columns>::Threads, 1) conv2d_grad_weight_##rows##x##columns##_f32( \
        Conv2dGeometry g, int pixels_per_part, const float* __restrict__ x, const float* __restrict__ gy, float* __restrict__ parts) \
    {                                                                                                                        \
        conv2d_grad_weight<TileShape<rows, columns>>(g, pixels_per_part, x, gy, parts);                                      \
    }

CONV2D(64, 64)
CONV2D(64, 16)
CONV2D(16, 64)
