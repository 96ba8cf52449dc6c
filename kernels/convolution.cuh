// What all kernels of convolutions share: the geometry, where the elements of the operands of the three products lie (see convolution.cu),
// how a block's threads share out a tile of an operand, and what becomes of the sums.
//
// An operand is a matrix of lines (rows of the product's left factor, columns of the right one) by depth (the summed index), a type with
//
//     static constexpr bool depth_is_contiguous   whether neighbours along the depth are neighbours in memory; else neighbouring lines are
//     static constexpr bool overlaps             whether an element is part of several lines: windows share pixels
//     Line line(int index)                       what a line alone determines
//     Step step(int depth)                       what the summed index alone determines
//     int offset(Line line, Step step)           where the element lies in `values`; negative where it is zero: outside of the image
//                                                or of the matrix
//
// so that of the two only the one that changes is worked out anew. Channels are the contiguous direction of each operand. Chunks of
// channels that do not straddle a pixel, a tap or a group are wholly inside or wholly outside: is_whole says whether all chunks are such.
#pragma once

#include "math.cuh"
#include "scalar.cuh"
#include "tile_place.cuh"

// Division of 0 <= n < 2^31 by a number that the host knows (Granlund and Montgomery 1994, "Division by invariant integers using
// multiplication", figure 4.1): three instructions instead of some twenty. ConvolutionGeometry.cs makes them.
struct Divisor
{
    unsigned divisor, magic;
    int shift;

    __device__ __forceinline__ int quotient(int n) const { return (__umulhi((unsigned)n, magic) + (unsigned)n) >> shift; }
};

struct Conv2d
{
    int batch, height, width, in_channels, out_channels, kernel_height, kernel_width;
    int stride_height, stride_width, pad_top, pad_left;
    int groups, out_height, out_width;
    Divisor in_group, out_group, by_kernel_width, by_out_width, by_out_height, by_image;
    // Taps of a row of the kernel that touch a phase of the image (see grad_input): of the first phases, and of the others.
    Divisor more_taps, fewer_taps;

    __device__ __forceinline__ int in_channels_of_group() const { return in_group.divisor; }
    __device__ __forceinline__ int out_channels_of_group() const { return out_group.divisor; }
    __device__ __forceinline__ int taps() const { return kernel_height * kernel_width; }
    __device__ __forceinline__ int out_pixels() const { return batch * out_height * out_width; }
};

// So far outside of any image that adding a tap does not lead back into it.
constexpr int outside = -(1 << 30);

// Part of the way to an element of an image: what it adds to the offset, the row and the column.
struct Way
{
    int offset, row, column;
};

// No element is reached by it.
__device__ __forceinline__ Way nowhere() { return {0, outside, 0}; }

// Where two parts of a way lead; negative where that is nowhere.
__device__ __forceinline__ int join(const Way& a, const Way& b, int height, int width)
{
    bool inside = (unsigned)(a.row + b.row) < (unsigned)height && (unsigned)(a.column + b.column) < (unsigned)width;
    return inside ? a.offset + b.offset : -1;
}

// The same where an offset is all of it.
__device__ __forceinline__ int join(int a, int b) { return (a | b) < 0 ? -1 : a + b; }

// The corner of the window of x that output pixel (n, oh, ow) looks at.
__device__ __forceinline__ Way window_of(const Conv2d& g, int pixel, int first_channel)
{
    int line = g.by_out_width.quotient(pixel), n = g.by_out_height.quotient(line);
    int row = (line - n * g.out_height) * g.stride_height - g.pad_top, column = (pixel - line * g.out_width) * g.stride_width - g.pad_left;
    return {((n * g.height + row) * g.width + column) * g.in_channels + first_channel, row, column};
}

// From a window's corner to (tap, input channel).
__device__ __forceinline__ Way tap_of(const Conv2d& g, int index)
{
    int tap = g.in_group.quotient(index), row = g.by_kernel_width.quotient(tap), column = tap - row * g.kernel_width;
    return {(row * g.width + column) * g.in_channels + index - tap * g.in_channels_of_group(), row, column};
}

// Operands of the forward pass ------------------------------------------------------------------------------------------------

// x as a matrix of pixels of y by (tap, input channel).
template <class T>
struct WindowsByTap
{
    static constexpr bool depth_is_contiguous = true, overlaps = true;
    using Element = T;
    using Line = Way;
    using Step = Way;

    const Conv2d& g;
    const T* __restrict__ values;
    int first_channel, lines, depth_end;

    __device__ __forceinline__ Line line(int pixel) const { return pixel < lines ? window_of(g, pixel, first_channel) : nowhere(); }
    __device__ __forceinline__ Step step(int depth) const { return depth < depth_end ? tap_of(g, depth) : nowhere(); }
    __device__ __forceinline__ int offset(const Line& line, const Step& step) const { return join(line, step, g.height, g.width); }
    __device__ __forceinline__ int run() const { return g.in_channels_of_group(); }
};

// w as a matrix of output channels by (tap, input channel), as it lies in memory.
template <class T>
struct WeightsByOutput
{
    static constexpr bool depth_is_contiguous = true, overlaps = false;
    using Element = T;
    using Line = int;
    using Step = int;

    const Conv2d& g;
    const T* __restrict__ values;
    int first_channel, lines, depth_end;

    __device__ __forceinline__ Line line(int channel) const { return channel < lines ? (first_channel + channel) * depth_end : -1; }
    __device__ __forceinline__ Step step(int depth) const { return depth < depth_end ? depth : -1; }
    __device__ __forceinline__ int offset(Line line, Step step) const { return join(line, step); }
    __device__ __forceinline__ int run() const { return g.in_channels_of_group(); }
};

// Operands of the gradient of the input -----------------------------------------------------------------------------------------
// gx[n, h, w, ci] = sum of gy[n, (h + pad_top - kh) / stride, ..., co] w[co, kh, kw, ci] over the taps for which the division leaves
// nothing over. So the pixels of x fall into stride x stride phases by (h + pad_top) % stride, and only every stride-th tap touches a
// phase: within it pixel and tap are counted in strides, and the convolution is one of stride 1.

// One axis of a phase.
struct PhaseAxis
{
    int first;      // the first pixel of x
    int count;      // how many pixels of x
    int first_out;  // where tap 0 of the phase leads from the first pixel
    int taps;       // how many taps
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

struct Phase
{
    int row, column;
    PhaseAxis rows, columns;
    Divisor by_column_taps;

    __device__ __forceinline__ Phase(const Conv2d& g, int phase)
        : row(phase / g.stride_width), column(phase % g.stride_width),
          rows(phase_axis(row, g.height, g.kernel_height, g.stride_height, g.pad_top)),
          columns(phase_axis(column, g.width, g.kernel_width, g.stride_width, g.pad_left)),
          by_column_taps(columns.taps == (int)g.more_taps.divisor ? g.more_taps : g.fewer_taps)
    {
    }

    __device__ __forceinline__ int pixels(const Conv2d& g) const { return g.batch * rows.count * columns.count; }
    __device__ __forceinline__ int taps() const { return rows.taps * columns.taps; }
};

// gy as a matrix of the phase's pixels of x by (tap of the phase, output channel).
template <class T>
struct GradientsByTap
{
    static constexpr bool depth_is_contiguous = true, overlaps = true;
    using Element = T;
    using Line = Way;
    using Step = Way;

    const Conv2d& g;
    const Phase& phase;
    const T* __restrict__ values;
    int first_channel, lines, depth_end;

    __device__ __forceinline__ Line line(int pixel) const
    {
        if (pixel >= lines)
            return nowhere();
        int line = pixel / phase.columns.count, n = line / phase.rows.count;
        int row = phase.rows.first_out + line - n * phase.rows.count, column = phase.columns.first_out + pixel - line * phase.columns.count;
        return {((n * g.out_height + row) * g.out_width + column) * g.out_channels + first_channel, row, column};
    }

    __device__ __forceinline__ Step step(int depth) const
    {
        if (depth >= depth_end)
            return nowhere();
        int tap = g.out_group.quotient(depth), row = phase.by_column_taps.quotient(tap), column = tap - row * phase.columns.taps;
        return {depth - tap * g.out_channels_of_group() - (row * g.out_width + column) * g.out_channels, -row, -column};
    }

    __device__ __forceinline__ int offset(const Line& line, const Step& step) const { return join(line, step, g.out_height, g.out_width); }
    __device__ __forceinline__ int run() const { return g.out_channels_of_group(); }
};

// w as a matrix of input channels by (tap of the phase, output channel).
template <class T>
struct WeightsByInput
{
    static constexpr bool depth_is_contiguous = false, overlaps = false;
    using Element = T;
    using Line = int;
    using Step = int;

    const Conv2d& g;
    const Phase& phase;
    const T* __restrict__ values;
    int first_channel, lines, depth_end;

    __device__ __forceinline__ Line line(int channel) const { return channel < lines ? channel : -1; }

    __device__ __forceinline__ Step step(int depth) const
    {
        if (depth >= depth_end)
            return -1;
        int tap = g.out_group.quotient(depth), row = phase.by_column_taps.quotient(tap);
        int kh = phase.row + row * g.stride_height, kw = phase.column + (tap - row * phase.columns.taps) * g.stride_width;
        int channel = first_channel + depth - tap * g.out_channels_of_group();
        return ((channel * g.kernel_height + kh) * g.kernel_width + kw) * g.in_channels_of_group();
    }

    __device__ __forceinline__ int offset(Line line, Step step) const { return join(line, step); }
    __device__ __forceinline__ int run() const { return g.in_channels_of_group(); }
};

// Operands of the gradient of the weight ----------------------------------------------------------------------------------------

// x as a matrix of (tap, input channel) by pixels of y.
template <class T>
struct WindowsByPixel
{
    static constexpr bool depth_is_contiguous = false, overlaps = true;
    using Element = T;
    using Line = Way;
    using Step = Way;

    const Conv2d& g;
    const T* __restrict__ values;
    int first_channel, lines, depth_end;

    __device__ __forceinline__ Line line(int index) const { return index < lines ? tap_of(g, index) : nowhere(); }
    __device__ __forceinline__ Step step(int pixel) const { return pixel < depth_end ? window_of(g, pixel, first_channel) : nowhere(); }
    __device__ __forceinline__ int offset(const Line& line, const Step& step) const { return join(line, step, g.height, g.width); }
    __device__ __forceinline__ int run() const { return g.in_channels_of_group(); }
};

// gy as a matrix of output channels by pixels.
template <class T>
struct GradientsByPixel
{
    static constexpr bool depth_is_contiguous = false, overlaps = false;
    using Element = T;
    using Line = int;
    using Step = int;

    const Conv2d& g;
    const T* __restrict__ values;
    int first_channel, lines, depth_end;

    __device__ __forceinline__ Line line(int channel) const { return channel < lines ? first_channel + channel : -1; }
    __device__ __forceinline__ Step step(int pixel) const { return pixel < depth_end ? pixel * g.out_channels : -1; }
    __device__ __forceinline__ int offset(Line line, Step step) const { return join(line, step); }
    __device__ __forceinline__ int run() const { return g.out_channels_of_group(); }
};

// Tiles -------------------------------------------------------------------------------------------------------------------------

// Whether N neighbouring elements can be moved at once wherever a chunk of them begins; run is the length of what is contiguous.
template <int N, class T>
__device__ __forceinline__ bool is_whole(const T* p, int run)
{
    return run % N == 0 && (unsigned long long)p % (N * sizeof(T)) == 0;
}

// The chunks of N elements of an operand's tile that a thread brings in. The tile is seen as it lies in memory: rows of chunks, the chunks
// along the contiguous direction. Neighbouring threads take neighbouring chunks, and a thread the same chunk of every so many-th row.
template <class Operand, int Lines, int Depth, int N, int Threads>
struct Share
{
    static constexpr bool by_depth = Operand::depth_is_contiguous;
    static constexpr int chunks = (by_depth ? Depth : Lines) / N, rows = by_depth ? Lines : Depth;
    static constexpr int stride = Threads / chunks, each = rows / stride;
    static_assert(Threads % chunks == 0 && rows % stride == 0, "threads must share the chunks out evenly");

    const Operand& operand;
    int first_line;
    typename Operand::Line lines[by_depth ? each : 1];

    __device__ __forceinline__ Share(const Operand& operand, int first_line) : operand(operand), first_line(first_line)
    {
#pragma unroll
        for (int i = 0; i < (by_depth ? each : 1); i++)
            lines[i] = operand.line(first_line + (by_depth ? row(i) : chunk() * N));
    }

    __device__ __forceinline__ static int chunk() { return threadIdx.x % chunks; }
    __device__ __forceinline__ static int row(int i) { return threadIdx.x / chunks + i * stride; }

    // Calls take(i, offset) for each chunk of the tile that begins at `depth`.
    template <class Take>
    __device__ __forceinline__ void for_chunks(int depth, Take take) const
    {
        if (by_depth)
        {
            typename Operand::Step step = operand.step(depth + chunk() * N);
#pragma unroll
            for (int i = 0; i < each; i++)
                take(i, operand.offset(lines[i], step));
        }
        else
        {
#pragma unroll
            for (int i = 0; i < each; i++)
                take(i, operand.offset(lines[0], operand.step(depth + row(i))));
        }
    }

    // Calls take(i, j, offset) for each element j of each chunk, which may all lie anywhere. Not unrolled: it would be most of the code.
    template <class Take>
    __device__ __forceinline__ void for_elements(int depth, Take take) const
    {
#pragma unroll 1
        for (int j = 0; j < N; j++)
        {
            if (by_depth)
            {
                typename Operand::Step step = operand.step(depth + chunk() * N + j);
#pragma unroll
                for (int i = 0; i < each; i++)
                    take(i, j, operand.offset(lines[i], step));
            }
            else
            {
                typename Operand::Line line = operand.line(first_line + chunk() * N + j);
#pragma unroll
                for (int i = 0; i < each; i++)
                    take(i, j, operand.offset(line, operand.step(depth + row(i))));
            }
        }
    }
};

// What becomes of the sums ------------------------------------------------------------------------------------------------------
// store(row, column, v) takes one element or four neighbours, along the columns where columns_are_contiguous and along the rows where not; elements
// beyond the product are left out.

// v += four elements, which are aligned as a whole.
__device__ __forceinline__ void add_elements(float (&v)[4], const float* p)
{
    float4 x = *reinterpret_cast<const float4*>(p);
    v[0] += x.x, v[1] += x.y, v[2] += x.z, v[3] += x.w;
}

__device__ __forceinline__ void add_elements(float (&v)[4], const bfloat16* p)
{
    uint2 x = *reinterpret_cast<const uint2*>(p);
    float2 a = to_float2(x.x), b = to_float2(x.y);
    v[0] += a.x, v[1] += a.y, v[2] += b.x, v[3] += b.y;
}

__device__ __forceinline__ void store_elements(float* p, const float (&v)[4])
{
    *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
}

__device__ __forceinline__ void store_elements(bfloat16* p, const float (&v)[4])
{
    *reinterpret_cast<uint2*>(p) = {round_to_bfloat16_pair(v[0], v[1]), round_to_bfloat16_pair(v[2], v[3])};
}

// z = the product + bias[OutChannels] + sampleBias[Batch, OutChannels] + residual (like y), and y = z or, with_silu, y = silu(z). Each of
// the three may be null, and so may sums (like y), which gets z beside silu(z): its derivative asks for it.
template <class T>
struct ForwardOutput
{
    static constexpr bool columns_are_contiguous = true;

    const Conv2d& g;
    const float* __restrict__ bias;
    const T* __restrict__ sample_bias;
    const T* __restrict__ residual;
    int with_silu;
    T* __restrict__ sums;
    T* __restrict__ y;
    int first_channel;

    template <int N>
    __device__ __forceinline__ void store(int pixel, int channel, float (&v)[N]) const
    {
        int channels = g.out_channels_of_group();
        if (pixel >= g.out_pixels() || channel >= channels)
            return;
        int all = first_channel + channel, to = pixel * g.out_channels + all;
        const T* of_sample = sample_bias == nullptr ? nullptr : sample_bias + g.by_image.quotient(pixel) * g.out_channels;
        if constexpr (N == 4)
        {
            if (is_whole<N>(y, channels) && is_whole<N>(sample_bias, channels) && is_whole<N>(residual, channels) && is_whole<N>(sums, channels)
                && is_aligned(bias))
            {
                if (bias != nullptr)
                    add_elements(v, bias + all);
                if (of_sample != nullptr)
                    add_elements(v, of_sample + all);
                if (residual != nullptr)
                    add_elements(v, residual + to);
                if (with_silu)
                {
                    if (sums != nullptr)
                        store_elements(sums + to, v);
#pragma unroll
                    for (int i = 0; i < N; i++)
                        v[i] = silu(v[i]);
                }
                store_elements(y + to, v);
                return;
            }
        }
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            if (channel + i >= channels)
                break;
            float value = v[i];
            if (bias != nullptr)
                value += bias[all + i];
            if (of_sample != nullptr)
                value += to_float(of_sample[all + i]);
            if (residual != nullptr)
                value += to_float(residual[to + i]);
            if (with_silu && sums != nullptr)
                sums[to + i] = from_float<T>(value);
            y[to + i] = from_float<T>(with_silu ? silu(value) : value);
        }
    }
};

// gx of the pixels of a phase.
template <class T>
struct GradInputOutput
{
    static constexpr bool columns_are_contiguous = true;

    const Conv2d& g;
    const Phase& phase;
    T* __restrict__ gx;
    int first_channel, pixels;

    template <int N>
    __device__ __forceinline__ void store(int pixel, int channel, float (&v)[N]) const
    {
        int channels = g.in_channels_of_group();
        if (pixel >= pixels || channel >= channels)
            return;
        T* to = gx + place(pixel) * g.in_channels + first_channel + channel;
        if constexpr (N == 4)
        {
            if (is_whole<N>(gx, channels))
            {
                store_elements(to, v);
                return;
            }
        }
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            if (channel + i < channels)
                to[i] = from_float<T>(v[i]);
        }
    }

private:
    // The number of a pixel of the phase among those of x. Each four elements that are stored ask for it, and where the phase is all there
    // is, which strides of 1 have, two divisions a time would be a quarter of the kernel's instructions.
    __device__ __forceinline__ int place(int pixel) const
    {
        if (g.stride_height * g.stride_width == 1)
            return pixel;
        int line = pixel / phase.columns.count, n = line / phase.rows.count;
        int row = phase.rows.first + (line - n * phase.rows.count) * g.stride_height;
        int column = phase.columns.first + (pixel - line * phase.columns.count) * g.stride_width;
        return (n * g.height + row) * g.width + column;
    }
};

// gw[OutChannels, taps * InChannels / Groups] of the pixels of a part; rows of the product are contiguous in it.
struct GradWeightOutput
{
    static constexpr bool columns_are_contiguous = false;

    float* __restrict__ gw;
    int first_channel, channels, rows;

    template <int N>
    __device__ __forceinline__ void store(int row, int channel, float (&v)[N]) const
    {
        if (row >= rows || channel >= channels)
            return;
        float* to = gw + (first_channel + channel) * rows + row;
        if constexpr (N == 4)
        {
            if (is_whole<N>(gw, rows))
            {
                store_elements(to, v);
                return;
            }
        }
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            if (row + i < rows)
                to[i] = v[i];
        }
    }
};

// The three passes --------------------------------------------------------------------------------------------------------------
// Product::run(a, b, output, row, column, begin, end) makes a tile of Shape = Product::Shape.

template <class Product, class T>
__device__ __forceinline__ void conv2d_forward(
    const Conv2d& g, const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias, const T* __restrict__ sample_bias,
    const T* __restrict__ residual, int with_silu, T* __restrict__ sums, T* __restrict__ y)
{
    int pixels = g.out_pixels(), channels = g.out_channels_of_group(), depth = g.taps() * g.in_channels_of_group();
    TilePlace place = tile_place<typename Product::Shape>(pixels, channels);
    int group = place.product;
    WindowsByTap<T> windows{g, x, group * g.in_channels_of_group(), pixels, depth};
    WeightsByOutput<T> weights{g, w, group * channels, channels, depth};
    ForwardOutput<T> output{g, bias, sample_bias, residual, with_silu, sums, y, group * channels};
    Product::run(windows, weights, output, place.row, place.column, 0, depth);
}

template <class Product, class T>
__device__ __forceinline__ void conv2d_grad_input(const Conv2d& g, const T* __restrict__ gy, const T* __restrict__ w, T* __restrict__ gx)
{
    int phases = g.stride_height * g.stride_width, channels = g.in_channels_of_group(), out_channels = g.out_channels_of_group();
    int most_rows = (g.height + g.stride_height - 1) / g.stride_height, most_columns = (g.width + g.stride_width - 1) / g.stride_width;
    TilePlace place = tile_place<typename Product::Shape>(g.batch * most_rows * most_columns, channels);
    int group = place.product / phases;
    Phase phase(g, place.product - group * phases);
    int pixels = phase.pixels(g), depth = phase.taps() * out_channels;
    if (place.row >= pixels)
        return;
    GradientsByTap<T> gradients{g, phase, gy, group * out_channels, pixels, depth};
    WeightsByInput<T> weights{g, phase, w, group * out_channels, channels, depth};
    Product::run(gradients, weights, GradInputOutput<T>{g, phase, gx, group * channels, pixels}, place.row, place.column, 0, depth);
}

// There are few weights and many pixels, so the pixels are shared out among `parts` blocks for every tile. Each part writes a
// gradient of its own, parts[part][OutChannels][taps][InChannels / Groups]; whoever launches this adds them up in their order.
template <class Product, class T>
__device__ __forceinline__ void conv2d_grad_weight(
    const Conv2d& g, int pixels_per_part, const T* __restrict__ x, const T* __restrict__ gy, float* __restrict__ parts)
{
    int channels = g.out_channels_of_group(), rows = g.taps() * g.in_channels_of_group();
    TilePlace place = tile_place<typename Product::Shape>(rows, channels);
    int part = place.product / g.groups, group = place.product - part * g.groups;
    int begin = part * pixels_per_part, end = min(g.out_pixels(), begin + pixels_per_part);
    WindowsByPixel<T> windows{g, x, group * g.in_channels_of_group(), rows, end};
    GradientsByPixel<T> gradients{g, gy, group * channels, channels, end};
    GradWeightOutput output{parts + (long long)part * g.out_channels * rows, group * channels, channels, rows};
    Product::run(windows, gradients, output, place.row, place.column, begin, end);
}

// The kernels of a product for an element type: their names and parameters. At least `blocks` of them run on a multiprocessor, which leaves
// a thread 65536 / (blocks * threads) registers.
#define CONV2D_KERNELS(name, Product, T, type, threads, blocks)                                                                              \
    extern "C" __global__ void __launch_bounds__(threads, blocks) conv2d_forward_##name##_##type(                                            \
        const __grid_constant__ Conv2d g, const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias,                  \
        const T* __restrict__ sample_bias, const T* __restrict__ residual, int with_silu, T* __restrict__ sums, T* __restrict__ y)           \
    {                                                                                                                                        \
        conv2d_forward<Product>(g, x, w, bias, sample_bias, residual, with_silu, sums, y);                                                   \
    }                                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(threads, blocks) conv2d_grad_input_##name##_##type(                                         \
        const __grid_constant__ Conv2d g, const T* __restrict__ gy, const T* __restrict__ w, T* __restrict__ gx)                             \
    {                                                                                                                                        \
        conv2d_grad_input<Product>(g, gy, w, gx);                                                                                            \
    }                                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(threads, blocks) conv2d_grad_weight_##name##_##type(                                        \
        const __grid_constant__ Conv2d g, int pixels_per_part, const T* __restrict__ x, const T* __restrict__ gy,                            \
        float* __restrict__ parts)                                                                                                           \
    {                                                                                                                                        \
        conv2d_grad_weight<Product>(g, pixels_per_part, x, gy, parts);                                                                       \
    }
