// What a diffusion model does beside its network: noising with the noise drawn inside, a sampler's step, the weighted squared error, and
// the sinusoidal embedding of times.
//
// Launch, bytes and flops: stated at each kernel; 1-D grids, 256 threads a block.
// Limit: memory for all but the embedding, whose few elements take about a hundred float64 operations each; noise adds the arithmetic of
// Philox and Box-Muller (see random.cu), still below what memory takes.
#include "common.cuh"
#include "philox.cuh"

// x_t = alpha[n] x_0 + sigma[n] noise for the samples n of x0[samples, size]; the noise is returned. One thread per four elements of the
// batch. Bytes: 12 per element; flops: 3 and the normals.
extern "C" __global__ void diffusion_forward_f32(
    PhiloxState state, int n, int size, const float* __restrict__ x0, const float* __restrict__ alpha, const float* __restrict__ sigma,
    float* __restrict__ xt, float* __restrict__ noise)
{
    unsigned block = element_index(), i = 4 * block;
    if (i >= n)
        return;
    float4 normals = box_muller(philox_block(state, block));
    float4 x = load_four(x0, i, n);
    // The four may belong to different samples; those beyond the end use the last one's.
    int s0 = i / size, s1 = min(i + 1, n - 1) / size, s2 = min(i + 2, n - 1) / size, s3 = min(i + 3, n - 1) / size;
    store_four(noise, i, n, normals);
    store_four(xt, i, n, make_float4(
        alpha[s0] * x.x + sigma[s0] * normals.x, alpha[s1] * x.y + sigma[s1] * normals.y,
        alpha[s2] * x.z + sigma[s2] * normals.z, alpha[s3] * x.w + sigma[s3] * normals.w));
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
    float4 noise = c.noise_scale == 0 ? make_float4(0, 0, 0, 0) : box_muller(philox_block(state, block));
    float4 x = load_four(x_t, i, n), eps = load_four(eps_t, i, n);
    store_four(y, i, n, make_float4(
        step(c, x.x, eps.x, noise.x), step(c, x.y, eps.y, noise.y), step(c, x.z, eps.z, noise.z), step(c, x.w, eps.w, noise.w)));
}

// partial[n, piece] = sum of (x - y)^2 over a piece of sample n of x and y[samples, size]. A block per piece. Bytes: 8 per element;
// flops: 3.
extern "C" __global__ void diffusion_squared_error_f32(
    int size, int pieces, int piece, const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ partial)
{
    __shared__ float scratch[32];
    int sample = blockIdx.x / pieces, start = (blockIdx.x - sample * pieces) * piece;
    int count = min(piece, size - start);
    size_t first = (size_t)sample * size + start;
    float sum = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x)
    {
        float difference = x[first + i] - y[first + i];
        sum += difference * difference;
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

// gx[n, i] = gLosses[n] weights[n] 2 (x - y) / size. A thread per element. Bytes: 12 per element; flops: 2.
extern "C" __global__ void diffusion_weighted_mse_grad_f32(
    int n, int size, const float* __restrict__ x, const float* __restrict__ y, const float* __restrict__ weights,
    const float* __restrict__ g_losses, float* __restrict__ gx)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    int sample = i / size;
    gx[i] = 2 * g_losses[sample] * weights[sample] / size * (x[i] - y[i]);
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
