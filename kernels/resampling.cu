// Images NHWC resampled by whole factors: every pixel repeated, or windows summed, and the gradient of the latter.
//
//   resampling_upsample_nearest*   every pixel repeated
//   resampling_pool_sum_grad*      the gradient of the sums: a window gets what its sum got
//
// Launch     one thread for each 16 bytes along the channels (packed) or each element of the small image, 1-D, 256 threads a block. Packed
//            kernels need channels of whole 16 bytes and arrays that begin at 16 bytes.
// Bytes      4 or 2 (input + output): a thread reads or writes its window itself, so nothing is read twice.
// Flops      one for each element summed or scaled.
// Limit      memory: a warp's request is 16 whole sectors where a pixel has 32 bytes or more. The divisions that find an element's pixel
//            are made once for a whole window of 16 bytes.
#include "common.cuh"
#include "scalar.cuh"

// The large image x[batch, height, width, channels], summed over windows.
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

// What a thread handles at a time: 16 bytes, or one element.
template <class T>
struct Packed
{
    typedef Pack<T> Run;
    static constexpr int size = Pack<T>::size;
    static __device__ __forceinline__ Run load(const T* p) { return load_pack(p); }
    static __device__ __forceinline__ void store(T* p, const Run& run) { store_pack(p, run); }
};

template <class T>
struct Single
{
    struct Run
    {
        float v[1];
    };
    static constexpr int size = 1;
    static __device__ __forceinline__ Run load(const T* p) { return {to_float(*p)}; }
    static __device__ __forceinline__ void store(T* p, const Run& run) { *p = from_float<T>(run.v[0]); }
};

// y[batch, height / factor_height, width / factor_width, channels] = scale * the sum over the window of x.
template <class Access, class T>
__device__ __forceinline__ void pool(const ResampleGeometry& g, int count, float scale, const T* __restrict__ x, T* __restrict__ y)
{
    unsigned i = Access::size * element_index();
    if (i >= count)
        return;
    Pixel p = pixel_of(i, g.height / g.factor_height, g.width / g.factor_width, g.channels);
    const T* window = x + ((size_t)(p.n * g.height + p.row * g.factor_height) * g.width + p.column * g.factor_width) * g.channels + p.channel;
    typename Access::Run sum = {};
    for (int row = 0; row < g.factor_height; row++)
    {
        for (int column = 0; column < g.factor_width; column++)
        {
            auto term = Access::load(window + (row * g.width + column) * g.channels);
#pragma unroll
            for (int k = 0; k < Access::size; k++)
                sum.v[k] += term.v[k];
        }
    }
#pragma unroll
    for (int k = 0; k < Access::size; k++)
        sum.v[k] *= scale;
    Access::store(y + i, sum);
}

// Every pixel of y[batch, height, width, channels] = scale * that of x of its window; 0 outside whole windows. A thread has a window, a
// cut one at the border included: count is the elements of an image of the windows, rounded up.
template <class Access, class T>
__device__ __forceinline__ void spread(const ResampleGeometry& g, int count, float scale, const T* __restrict__ x, T* __restrict__ y)
{
    unsigned i = Access::size * element_index();
    if (i >= count)
        return;
    int rows = g.height / g.factor_height, columns = g.width / g.factor_width;
    Pixel p = pixel_of(i, (g.height + g.factor_height - 1) / g.factor_height, (g.width + g.factor_width - 1) / g.factor_width, g.channels);
    typename Access::Run value = {};
    if (p.row < rows && p.column < columns)
        value = Access::load(x + ((size_t)(p.n * rows + p.row) * columns + p.column) * g.channels + p.channel);
#pragma unroll
    for (int k = 0; k < Access::size; k++)
        value.v[k] *= scale;
    int top = p.row * g.factor_height, left = p.column * g.factor_width;
    T* window = y + ((size_t)(p.n * g.height + top) * g.width + left) * g.channels + p.channel;
    int window_height = min(g.factor_height, g.height - top), window_width = min(g.factor_width, g.width - left);
    for (int row = 0; row < window_height; row++)
    {
        for (int column = 0; column < window_width; column++)
            Access::store(window + (row * g.width + column) * g.channels, value);
    }
}

// g is the large image here too: y.
#define RESAMPLING(suffix, Access, T) \
    extern "C" __global__ void resampling_upsample_nearest_##suffix(ResampleGeometry g, int count, const T* __restrict__ x, T* __restrict__ y) \
    { \
        spread<Access, T>(g, count, 1, x, y); \
    } \
    extern "C" __global__ void resampling_pool_sum_##suffix( \
        ResampleGeometry g, int count, float scale, const T* __restrict__ x, T* __restrict__ y) \
    { \
        pool<Access, T>(g, count, scale, x, y); \
    } \
    extern "C" __global__ void resampling_pool_sum_grad_##suffix( \
        ResampleGeometry g, int count, float scale, const T* __restrict__ gy, T* __restrict__ gx) \
    { \
        spread<Access, T>(g, count, scale, gy, gx); \
    }

RESAMPLING(f32, Single<float>, float)
RESAMPLING(bf16, Single<bfloat16>, bfloat16)
RESAMPLING(packed_f32, Packed<float>, float)
RESAMPLING(packed_bf16, Packed<bfloat16>, bfloat16)
