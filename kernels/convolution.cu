// Convolutions (cross-correlations) of images NHWC, all three passes as one matrix product whose operands are read where they lie:
// no patches are stored ("implicit GEMM"). x[Batch, Height, Width, InChannels], w[OutChannels, KernelHeight, KernelWidth,
// InChannels / Groups], y[Batch, OutHeight, OutWidth, OutChannels]; pixels outside of the image are zeros. The elements are float or
// bfloat16; sums, the bias and the gradient of the weight are float.
//
//   kernel                     rows of the product    columns            summed over
//   conv2d_forward_*           pixels of y            output channels    taps x input channels
//   conv2d_grad_input_*        pixels of x            input channels     taps x output channels
//   conv2d_grad_weight_*       taps x input channels  output channels    pixels of y
//
// Two rungs of the ladder are here; the third, on tensor cores, is in convolution_mma.cu.
//
//   naive           a thread per element of the result, everything from global memory: 2 loads for a multiply-add, and where neighbouring
//                   threads are neighbouring output channels the weights they load lie a whole filter apart.
//   ROWSxCOLUMNS    a block makes a tile. Slices of 16 along the summed index are fetched into registers by 16 bytes along the channels
//                   (where their number is a multiple of 4, else one by one) while the slice before is multiplied from shared memory,
//                   which has room for two: one barrier a slice. A thread sums 8 x 8 elements (8 x 4, 4 x 4 in the smaller tiles).
//
// Launch     naive: 256 threads, one for each element of the result.
//            Tiles: grid products * ceil(rows of the product / rows) * ceil(columns of the product / columns), with the products
//            forward: Groups; grad_input: Groups * phases, rows being those of the largest phase; grad_weight: Groups * parts.
//            Blocks of 128 threads (64x16: 64), no dynamic shared memory; 24, 20 and 10 KiB static for 128x64, 128x32 and 64x16.
// Bytes      at best size (x + w + y); every tile reads its own: x is read ceil(columns of the product / columns) times for each tap by
//            forward, from the caches as far as neighbouring taps share pixels. A tile of 128x64 fetches 192 elements for 8192
//            multiply-adds. Flops 2 * pixels of y * OutChannels * taps * InChannels / Groups.
// Limit      naive: loads, two for a multiply-add. Tiles: the multiply-adds where channels fill the tile (8 x 8: four shared loads of
//            16 bytes for 64 of them; a fetched chunk costs some 10 instructions of addresses); else the addresses.

#include "convolution.cuh"

// Naive -------------------------------------------------------------------------------------------------------------------------

template <class T>
__device__ __forceinline__ void forward_naive(
    const Conv2d& g, const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias, const T* __restrict__ sample_bias,
    const T* __restrict__ residual, int with_silu, T* __restrict__ sums, T* __restrict__ y)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    int pixel = i / g.out_channels, channel = i % g.out_channels, channels = g.in_channels_of_group();
    if (pixel >= g.out_pixels())
        return;
    int image = pixel / (g.out_height * g.out_width), group = channel / g.out_channels_of_group();
    int row = pixel / g.out_width % g.out_height * g.stride_height - g.pad_top, column = pixel % g.out_width * g.stride_width - g.pad_left;
    float sum[1] = {};
    for (int kh = 0; kh < g.kernel_height; kh++)
    {
        for (int kw = 0; kw < g.kernel_width; kw++)
        {
            int h = row + kh, v = column + kw;
            if (h < 0 || h >= g.height || v < 0 || v >= g.width)
                continue;
            const T* window = x + ((image * g.height + h) * g.width + v) * g.in_channels + group * channels;
            const T* weight = w + ((channel * g.kernel_height + kh) * g.kernel_width + kw) * channels;
            for (int c = 0; c < channels; c++)
                sum[0] = fmaf(to_float(window[c]), to_float(weight[c]), sum[0]);
        }
    }
    ForwardOutput<T> output{g, bias, sample_bias, residual, with_silu, sums, y, group * g.out_channels_of_group()};
    output.store(pixel, channel % g.out_channels_of_group(), sum);
}

template <class T>
__device__ __forceinline__ void grad_input_naive(const Conv2d& g, const T* __restrict__ gy, const T* __restrict__ w, T* __restrict__ gx)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    int pixel = i / g.in_channels, channel = i % g.in_channels, channels = g.out_channels_of_group();
    if (pixel >= g.batch * g.height * g.width)
        return;
    int image = pixel / (g.height * g.width), group = channel / g.in_channels_of_group();
    int row = pixel / g.width % g.height + g.pad_top, column = pixel % g.width + g.pad_left;
    float sum = 0;
    for (int kh = 0; kh < g.kernel_height; kh++)
    {
        for (int kw = 0; kw < g.kernel_width; kw++)
        {
            int h = (row - kh) / g.stride_height, v = (column - kw) / g.stride_width;
            if (row < kh || column < kw || h * g.stride_height != row - kh || v * g.stride_width != column - kw || h >= g.out_height || v >= g.out_width)
                continue;
            const T* gradient = gy + ((image * g.out_height + h) * g.out_width + v) * g.out_channels + group * channels;
            const T* weight = w + ((group * channels * g.kernel_height + kh) * g.kernel_width + kw) * g.in_channels_of_group() + channel % g.in_channels_of_group();
            for (int c = 0; c < channels; c++)
                sum = fmaf(to_float(gradient[c]), to_float(weight[c * g.taps() * g.in_channels_of_group()]), sum);
        }
    }
    gx[i] = from_float<T>(sum);
}

template <class T>
__device__ __forceinline__ void grad_weight_naive(const Conv2d& g, const T* __restrict__ x, const T* __restrict__ gy, float* __restrict__ gw)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    int channels = g.in_channels_of_group(), out_channel = i / (g.taps() * channels), tap = i / channels % g.taps();
    if (out_channel >= g.out_channels)
        return;
    int channel = out_channel / g.out_channels_of_group() * channels + i % channels, kh = tap / g.kernel_width, kw = tap % g.kernel_width;
    float sum = 0;
    for (int n = 0; n < g.batch; n++)
    {
        for (int oh = 0; oh < g.out_height; oh++)
        {
            int h = oh * g.stride_height - g.pad_top + kh;
            if (h < 0 || h >= g.height)
                continue;
            for (int ow = 0; ow < g.out_width; ow++)
            {
                int v = ow * g.stride_width - g.pad_left + kw;
                if (v < 0 || v >= g.width)
                    continue;
                float gradient = to_float(gy[((n * g.out_height + oh) * g.out_width + ow) * g.out_channels + out_channel]);
                sum = fmaf(gradient, to_float(x[((n * g.height + h) * g.width + v) * g.in_channels + channel]), sum);
            }
        }
    }
    gw[i] = sum;
}

#define CONV2D_NAIVE(T, type)                                                                                               \
    extern "C" __global__ void conv2d_forward_naive_##type(                                                                 \
        const __grid_constant__ Conv2d g, const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias, \
        const T* __restrict__ sample_bias, const T* __restrict__ residual, int with_silu, T* __restrict__ sums,             \
        T* __restrict__ y)                                                                                                  \
    {                                                                                                                       \
        forward_naive(g, x, w, bias, sample_bias, residual, with_silu, sums, y);                                            \
    }                                                                                                                       \
    extern "C" __global__ void conv2d_grad_input_naive_##type(                                                              \
        const __grid_constant__ Conv2d g, const T* __restrict__ gy, const T* __restrict__ w, T* __restrict__ gx)            \
    {                                                                                                                       \
        grad_input_naive(g, gy, w, gx);                                                                                     \
    }                                                                                                                       \
    extern "C" __global__ void conv2d_grad_weight_naive_##type(                                                             \
        const __grid_constant__ Conv2d g, const T* __restrict__ x, const T* __restrict__ gy, float* __restrict__ gw)        \
    {                                                                                                                       \
        grad_weight_naive(g, x, gy, gw);                                                                                    \
    }

CONV2D_NAIVE(float, f32)
CONV2D_NAIVE(bfloat16, bf16)

// Implicit GEMM -----------------------------------------------------------------------------------------------------------------

// The summed indices that pass through shared memory at a time.
constexpr int tile_depth = 16;

// A block of ThreadRows x ThreadColumns threads; each sums 4 RowGroups x 4 ColumnGroups elements. Its groups of four lie a whole stride of
// the block apart, so that the threads of a warp read neighbouring 16 bytes.
template <int RowGroups_, int ColumnGroups_, int ThreadRows_, int ThreadColumns_>
struct TileShape
{
    static constexpr int RowGroups = RowGroups_, ColumnGroups = ColumnGroups_, ThreadRows = ThreadRows_, ThreadColumns = ThreadColumns_;
    static constexpr int Rows = 4 * RowGroups * ThreadRows, Columns = 4 * ColumnGroups * ThreadColumns, Threads = ThreadRows * ThreadColumns;
};

// An operand's slice on its way from global memory to shared memory, where it lies [depth][line].
template <class Operand, int Lines, int Threads>
struct Slice
{
    using Part = Share<Operand, Lines, tile_depth, 4, Threads>;

    // Where chunks lie along the depth, a thread writes them down a column: the lines of every fourth depth are exchanged in eights, and
    // the columns of a warp's four chunks meet different banks.
    __device__ __forceinline__ static int at(int depth, int line) { return depth * Lines + (Part::by_depth ? line ^ depth / 4 * 8 % Lines : line); }

    Part part;
    bool whole;
    float values[Part::each][4];

    __device__ __forceinline__ Slice(const Operand& operand, int first_line)
        : part(operand, first_line), whole(is_whole<4>(operand.values, operand.run()))
    {
    }

    // Begins to load the slice at `depth`, where that can be done by chunks.
    __device__ __forceinline__ void fetch(int depth)
    {
        if (!whole)
            return;
        part.for_chunks(depth, [&](int i, int offset)
        {
            values[i][0] = values[i][1] = values[i][2] = values[i][3] = 0;
            if (offset >= 0)
                add_elements(values[i], part.operand.values + offset);
        });
    }

    // Writes the slice at `depth` to shared memory.
    __device__ __forceinline__ void put(float* shared, int depth) const
    {
        if (!whole)
        {
            part.for_elements(depth, [&](int i, int j, int offset)
            {
                int along = Part::chunk() * 4 + j, across = Part::row(i);
                shared[Part::by_depth ? at(along, across) : at(across, along)] = offset < 0 ? 0 : to_float(part.operand.values[offset]);
            });
            return;
        }
#pragma unroll
        for (int i = 0; i < Part::each; i++)
        {
            if (Part::by_depth)
            {
#pragma unroll
                for (int j = 0; j < 4; j++)
                    shared[at(Part::chunk() * 4 + j, Part::row(i))] = values[i][j];
            }
            else
            {
                store_elements(shared + at(Part::row(i), Part::chunk() * 4), values[i]);
            }
        }
    }
};

template <class Shape_>
struct ImplicitGemm
{
    using Shape = Shape_;

    // Sums over [begin, end); all threads of the block must call it.
    template <class A, class B, class Output>
    __device__ __forceinline__ static void run(const A& a, const B& b, const Output& output, int row, int column, int begin, int end)
    {
        using SliceA = Slice<A, Shape::Rows, Shape::Threads>;
        using SliceB = Slice<B, Shape::Columns, Shape::Threads>;
        __shared__ __align__(16) float shared_a[2][tile_depth * Shape::Rows], shared_b[2][tile_depth * Shape::Columns];
        SliceA slice_a(a, row);
        SliceB slice_b(b, column);
        // Lanes i and i ^ 1 have the same columns, and i and i ^ 2 the same rows: see matmul_simt.cu.
        int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        int thread_row = (warp * (32 / Shape::ThreadColumns) + lane / (2 * Shape::ThreadColumns) * 2 + lane % 2) * 4;
        int thread_column = lane / 2 % Shape::ThreadColumns * 4;
        float sum[Shape::RowGroups * 4][Shape::ColumnGroups * 4] = {};

        slice_a.fetch(begin);
        slice_b.fetch(begin);
        for (int depth = begin, buffer = 0; depth < end; depth += tile_depth, buffer ^= 1)
        {
            slice_a.put(shared_a[buffer], depth);
            slice_b.put(shared_b[buffer], depth);
            // The other buffer may be overwritten after the next barrier only, which everyone reaches after reading it.
            __syncthreads();
            if (depth + tile_depth < end)
            {
                slice_a.fetch(depth + tile_depth);
                slice_b.fetch(depth + tile_depth);
            }
#pragma unroll 4
            for (int k = 0; k < tile_depth; k++)
            {
                float left[Shape::RowGroups * 4] = {}, right[Shape::ColumnGroups * 4] = {};
                read<SliceA, Shape::RowGroups, Shape::ThreadRows>(left, shared_a[buffer], k, thread_row);
                read<SliceB, Shape::ColumnGroups, Shape::ThreadColumns>(right, shared_b[buffer], k, thread_column);
#pragma unroll
                for (int i = 0; i < Shape::RowGroups * 4; i++)
                {
#pragma unroll
                    for (int j = 0; j < Shape::ColumnGroups * 4; j++)
                        sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
                }
            }
        }

        constexpr int outer = (Output::columns_are_contiguous ? Shape::RowGroups : Shape::ColumnGroups) * 4;
        constexpr int inner = Output::columns_are_contiguous ? Shape::ColumnGroups : Shape::RowGroups;
#pragma unroll
        for (int i = 0; i < outer; i++)
        {
#pragma unroll
            for (int j = 0; j < inner; j++)
            {
                int r = Output::columns_are_contiguous ? i : j * 4, c = Output::columns_are_contiguous ? j * 4 : i;
                float four[4];
#pragma unroll
                for (int k = 0; k < 4; k++)
                    four[k] = Output::columns_are_contiguous ? sum[r][c + k] : sum[r + k][c];
                output.store(
                    row + r / 4 * 4 * Shape::ThreadRows + thread_row + r % 4, column + c / 4 * 4 * Shape::ThreadColumns + thread_column + c % 4, four);
            }
        }
    }

private:
    template <class S, int Groups, int Threads>
    __device__ __forceinline__ static void read(float (&to)[Groups * 4], const float* shared, int k, int line)
    {
#pragma unroll
        for (int i = 0; i < Groups; i++)
        {
            float4 x = *reinterpret_cast<const float4*>(shared + S::at(k, i * 4 * Threads + line));
            to[4 * i] = x.x, to[4 * i + 1] = x.y, to[4 * i + 2] = x.z, to[4 * i + 3] = x.w;
        }
    }
};

using Gemm128x64 = ImplicitGemm<TileShape<2, 2, 16, 8>>;
using Gemm128x32 = ImplicitGemm<TileShape<2, 1, 16, 8>>;
using Gemm64x16 = ImplicitGemm<TileShape<1, 1, 16, 4>>;

CONV2D_KERNELS(gemm_128x64, Gemm128x64, float, f32, 128, 3)
CONV2D_KERNELS(gemm_128x32, Gemm128x32, float, f32, 128, 4)
CONV2D_KERNELS(gemm_64x16, Gemm64x16, float, f32, 64, 8)
CONV2D_KERNELS(gemm_128x32, Gemm128x32, bfloat16, bf16, 128, 4)
