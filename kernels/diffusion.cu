// What a diffusion model does beside its network: noising with the noise drawn inside, a sampler's step, the weighted squared error, and
// the sinusoidal embedding of times.
//
// Launch, bytes and flops: stated at each kernel; 1-D grids, 256 threads a block. Elements are read and written 16 bytes at a time; what a
// sample has one of (alpha, sigma, weights) comes from the cache and is not counted in the bytes.
// Limit: memory for all but the embedding, whose few elements take about a hundred float64 operations each; noise adds the arithmetic of
// Philox and Box-Muller (see random.cu), still below what memory takes.
#include "common.cuh"
#include "philox.cuh"
#include "scalar.cuh"

// The numbers of four neighbouring elements' samples. The four may belong to different samples, where a sample is not whole fours; those
// beyond the end use the last one's.
__device__ __forceinline__ Pack<float> of_samples(const float* values, unsigned i, unsigned n, int size)
{
    Pack<float> pack;
    if (size % 4 == 0)
    {
        float value = values[i / size];
        return {value, value, value, value};
    }
#pragma unroll
    for (int k = 0; k < 4; k++)
        pack.v[k] = values[min(i + k, n - 1) / size];
    return pack;
}

// x_t = alpha[n] x_0 + sigma[n] noise for the samples n of x0[samples, size]; the noise is returned. One thread per four elements of the
// batch. Bytes: 12 per element; flops: 3 and the normals.
extern "C" __global__ void diffusion_forward_f32(
    PhiloxState state, int n, int size, const float* __restrict__ x0, const float* __restrict__ alpha, const float* __restrict__ sigma,
    float* __restrict__ xt, float* __restrict__ noise)
{
    unsigned block = element_index(), i = 4 * block;
    if (i >= n)
        return;
    Pack<float> z = box_muller(philox_block(state, block)), x = load_pack(x0, i, n);
    Pack<float> a = of_samples(alpha, i, n, size), s = of_samples(sigma, i, n, size);
    store_pack(noise, i, n, z);
#pragma unroll
    for (int k = 0; k < 4; k++)
        x.v[k] = a.v[k] * x.v[k] + s.v[k] * z.v[k];
    store_pack(xt, i, n, x);
}

// DiffusionStepCoefficients of Geometry.cs in float, field for field.
struct StepCoefficients
{
    float inverse_alpha;
    float sigma_over_alpha;
    float clip_x0;
    float coefficient_x;
    float coefficient_x0;
    float coefficient_eps;
    float noise_scale;
};

__device__ __forceinline__ float step(const StepCoefficients& c, float x, float eps, float noise)
{
    float x0 = c.inverse_alpha * x - c.sigma_over_alpha * eps;
    // NaN stays NaN.
    x0 = x0 < -c.clip_x0 ? -c.clip_x0 : x0 > c.clip_x0 ? c.clip_x0 : x0;
    return c.coefficient_x * x + c.coefficient_x0 * x0 + c.coefficient_eps * eps + c.noise_scale * noise;
}

// One step of a sampler: y = c_x x + c_x0 clamp(x0) + c_eps eps + noise_scale z with x0 = inverse_alpha x - sigma_over_alpha eps. y may
// be x. One thread per four elements. Bytes: 12 per element; flops: 9 and the normals, where noise_scale is not 0.
extern "C" __global__ void diffusion_step_f32(
    StepCoefficients c, PhiloxState state, int n, const float* x_t, const float* __restrict__ eps_t, float* y)
{
    unsigned block = element_index(), i = 4 * block;
    if (i >= n)
        return;
    Pack<float> noise = {};
    if (c.noise_scale != 0)
        noise = box_muller(philox_block(state, block));
    Pack<float> x = load_pack(x_t, i, n), eps = load_pack(eps_t, i, n);
#pragma unroll
    for (int k = 0; k < 4; k++)
        x.v[k] = step(c, x.v[k], eps.v[k], noise.v[k]);
    store_pack(y, i, n, x);
}

// partial[n, piece] = sum of (x - y)^2 over a piece of sample n of x and y[samples, size]. A block per piece. Bytes: 8 per element;
// flops: 3.
extern "C" __global__ void diffusion_squared_error_f32(
    int size, int pieces, int piece, const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ partial)
{
    __shared__ float scratch[32];
    int sample = blockIdx.x / pieces, start = (blockIdx.x - sample * pieces) * piece;
    int count = min(piece, size - start);
    x += (size_t)sample * size + start;
    y += (size_t)sample * size + start;
    float sum = 0;
    for (int i = 4 * threadIdx.x; i < count; i += 4 * blockDim.x)
    {
        // Both have zeros beyond the end.
        Pack<float> a = load_pack(x, i, count), b = load_pack(y, i, count);
#pragma unroll
        for (int k = 0; k < 4; k++)
            sum += (a.v[k] - b.v[k]) * (a.v[k] - b.v[k]);
    }
    sum = block_reduce<Sum>(sum, scratch);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

// losses[n] = weights[n] / size * sum of partial[n, pieces], in order. A thread per sample.
extern "C" __global__ void diffusion_weighted_mse_f32(
    int samples, int size, int pieces, const float* __restrict__ partial, const float* __restrict__ weights, float* __restrict__ losses)
{
    unsigned n = element_index();
    if (n >= samples)
        return;
    float sum = 0;
    for (int piece = 0; piece < pieces; piece++)
        sum += partial[n * pieces + piece];
    losses[n] = weights[n] * (sum / size);
}

// gx[n, i] = gLosses[n] weights[n] 2 (x - y) / size. A thread per four elements. Bytes: 12 per element; flops: 2.
extern "C" __global__ void diffusion_weighted_mse_grad_f32(
    int n, int size, const float* __restrict__ x, const float* __restrict__ y, const float* __restrict__ weights,
    const float* __restrict__ g_losses, float* __restrict__ gx)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    Pack<float> a = load_pack(x, i, n), b = load_pack(y, i, n), w = of_samples(weights, i, n, size), g = of_samples(g_losses, i, n, size);
#pragma unroll
    for (int k = 0; k < 4; k++)
        a.v[k] = 2 * g.v[k] * w.v[k] / size * (a.v[k] - b.v[k]);
    store_pack(gx, i, n, a);
}

// y[n, dim]: sin and cos of t[n] f_i, f_i = 2^(i log2_ratio), i < half = dim / 2; sines first, or cosines when flip; an odd last column
// is 0. A thread per element. t f may be thousands of turns, of which float would keep too few digits of the fraction: the angle is
// made in float64 and its whole turns taken off there.
extern "C" __global__ void diffusion_time_embedding_f32(
    int n, int dim, double log2_ratio, bool flip, const float* __restrict__ t, float* __restrict__ y)
{
    unsigned at = element_index();
    if (at >= n)
        return;
    int row = at / dim, column = at - row * dim, half = dim / 2;
    if (column >= 2 * half)
    {
        y[at] = 0;
        return;
    }
    bool second = column >= half;
    int i = second ? column - half : column;
    double turns = t[row] * exp2(i * log2_ratio) * 0.15915494309189534;
    float half_turns = 2 * (float)(turns - rint(turns));
    y[at] = second != flip ? cospif(half_turns) : sinpif(half_turns);
}
