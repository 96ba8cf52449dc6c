// Updates of flat arenas in place: AdamW, SGD with momentum, the moving average of parameters, the accumulation of gradients. The norm by
// which gradients are clipped is the sum of squares of reduction.cu and its root, and stays on the device.
//
// Launch: one thread per four parameters, 1-D, 256 threads a block; what it reads and writes it does in 16 bytes.
// Bytes per parameter: AdamW 28, with the moving average 36 (40 in two launches, which read the parameter again), SGD 20 (12 without
// momentum), moving average and accumulation 12; flops: AdamW about 15.
// Limit: memory.
// In a graph, the numbers that change from step to step are read from memory: `live`, where it is not null.
#include "common.cuh"
#include "scalar.cuh"

// min(1, max_norm / (norm + 1e-6)) where a norm is given; NaN stays NaN.
__device__ __forceinline__ float clip_factor(const float* norm, float max_norm)
{
    if (norm == nullptr)
        return 1;
    float factor = max_norm / (norm[0] + 1e-6f);
    return factor > 1 ? 1 : factor;
}

// What AdamWStep of Geometry.cs comes to, computed in float64 on the host; AdamWScalars in C#, field for field.
struct AdamWScalars
{
    float keep;        // 1 - learning_rate * weight_decay where decay is decoupled, else 1
    float l2;          // weight_decay where it is not decoupled, else 0
    float rate1;       // 1 - beta1
    float rate2;       // 1 - beta2
    float step_size;   // learning_rate / (1 - beta1^t)
    float root_scale;  // 1 / sqrt(1 - beta2^t)
    float epsilon;
    float max_norm;
};

// The same expression, hence the same bits, in a launch of its own and in that of AdamW.
__device__ __forceinline__ Pack<float> mixed(const Pack<float>& average, const Pack<float>& parameter, float rate)
{
    Pack<float> result;
#pragma unroll
    for (int k = 0; k < 4; k++)
        result.v[k] = average.v[k] + rate * (parameter.v[k] - average.v[k]);
    return result;
}

// Loshchilov and Hutter 2019, Algorithm 2. Where an average is given, it then takes the new parameter in as optimizer_ema_f32 does.
extern "C" __global__ void optimizer_adamw_f32(
    AdamWScalars s, const AdamWScalars* live, int n, float* __restrict__ parameter, const float* __restrict__ gradient,
    float* __restrict__ m, float* __restrict__ v, const float* __restrict__ norm, float rate, const float* live_rate,
    float* __restrict__ average)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    if (live != nullptr)
        s = *live;
    Pack<float> p = load_pack(parameter, i, n), g = load_pack(gradient, i, n), m1 = load_pack(m, i, n), m2 = load_pack(v, i, n);
    Pack<float> a = {};
    if (average != nullptr)
        a = load_pack(average, i, n);
    float clip = clip_factor(norm, s.max_norm);
#pragma unroll
    for (int k = 0; k < 4; k++)
    {
        float change = clip * g.v[k] + s.l2 * p.v[k];
        m1.v[k] += s.rate1 * (change - m1.v[k]);
        m2.v[k] += s.rate2 * (change * change - m2.v[k]);
        p.v[k] = s.keep * p.v[k] - s.step_size * m1.v[k] / (sqrtf(m2.v[k]) * s.root_scale + s.epsilon);
    }
    store_pack(m, i, n, m1);
    store_pack(v, i, n, m2);
    store_pack(parameter, i, n, p);
    if (average != nullptr)
        store_pack(average, i, n, mixed(a, p, live_rate != nullptr ? *live_rate : rate));
}

// SgdScalars in C#, field for field.
struct SgdScalars
{
    float learning_rate;
    float momentum;
    float weight_decay;
    float max_norm;
    int nesterov;
    int first_step;
};

// buffer is not touched without momentum.
extern "C" __global__ void optimizer_sgd_f32(
    SgdScalars s, const SgdScalars* live, int n, float* __restrict__ parameter, const float* __restrict__ gradient,
    float* __restrict__ buffer, const float* __restrict__ norm)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    if (live != nullptr)
        s = *live;
    Pack<float> p = load_pack(parameter, i, n), change = load_pack(gradient, i, n);
    float clip = clip_factor(norm, s.max_norm);
#pragma unroll
    for (int k = 0; k < 4; k++)
        change.v[k] = clip * change.v[k] + s.weight_decay * p.v[k];
    if (s.momentum != 0)
    {
        Pack<float> b = change;
        if (!s.first_step)
        {
            b = load_pack(buffer, i, n);
#pragma unroll
            for (int k = 0; k < 4; k++)
                b.v[k] = s.momentum * b.v[k] + change.v[k];
        }
        store_pack(buffer, i, n, b);
#pragma unroll
        for (int k = 0; k < 4; k++)
            change.v[k] = s.nesterov ? change.v[k] + s.momentum * b.v[k] : b.v[k];
    }
#pragma unroll
    for (int k = 0; k < 4; k++)
        p.v[k] -= s.learning_rate * change.v[k];
    store_pack(parameter, i, n, p);
}

// average += rate (parameter - average), rate = 1 - decay
extern "C" __global__ void optimizer_ema_f32(
    int n, float rate, const float* live, const float* __restrict__ parameter, float* __restrict__ average)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    if (live != nullptr)
        rate = *live;
    store_pack(average, i, n, mixed(load_pack(average, i, n), load_pack(parameter, i, n), rate));
}

// y += x
extern "C" __global__ void optimizer_accumulate_f32(int n, const float* __restrict__ x, float* __restrict__ y)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    Pack<float> sum = load_pack(y, i, n), term = load_pack(x, i, n);
#pragma unroll
    for (int k = 0; k < 4; k++)
        sum.v[k] += term.v[k];
    store_pack(y, i, n, sum);
}
