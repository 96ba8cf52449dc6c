// Updates of flat arenas in place: AdamW, SGD with momentum, the moving average of parameters, the accumulation of gradients. The norm by
// which gradients are clipped is the sum of squares of reduction.cu and its root, and stays on the device.
//
// Launch: one thread per parameter, 1-D, 256 threads a block.
// Bytes per parameter: AdamW 28, SGD 20 (12 without momentum), moving average and accumulation 12; flops: AdamW about 15.
// Limit: memory.
// In a graph, the numbers that change from step to step are read from memory: `live`, where it is not null.
#include "common.cuh"

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

// Loshchilov and Hutter 2019, Algorithm 2.
extern "C" __global__ void optimizer_adamw_f32(
    AdamWScalars s, const AdamWScalars* live, int n, float* __restrict__ parameter, const float* __restrict__ gradient,
    float* __restrict__ m, float* __restrict__ v, const float* __restrict__ norm)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    if (live != nullptr)
        s = *live;
    float p = parameter[i];
    float g = clip_factor(norm, s.max_norm) * gradient[i] + s.l2 * p;
    float m1 = m[i] + s.rate1 * (g - m[i]);
    float m2 = v[i] + s.rate2 * (g * g - v[i]);
    m[i] = m1;
    v[i] = m2;
    parameter[i] = s.keep * p - s.step_size * m1 / (sqrtf(m2) * s.root_scale + s.epsilon);
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
    unsigned i = element_index();
    if (i >= n)
        return;
    if (live != nullptr)
        s = *live;
    float p = parameter[i];
    float change = clip_factor(norm, s.max_norm) * gradient[i] + s.weight_decay * p;
    if (s.momentum != 0)
    {
        float b = s.first_step ? change : s.momentum * buffer[i] + change;
        buffer[i] = b;
        change = s.nesterov ? change + s.momentum * b : b;
    }
    parameter[i] = p - s.learning_rate * change;
}

// average += rate (parameter - average), rate = 1 - decay
extern "C" __global__ void optimizer_ema_f32(
    int n, float rate, const float* live, const float* __restrict__ parameter, float* __restrict__ average)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    if (live != nullptr)
        rate = *live;
    average[i] += rate * (parameter[i] - average[i]);
}

// y += x
extern "C" __global__ void optimizer_accumulate_f32(int n, const float* __restrict__ x, float* __restrict__ y)
{
    unsigned i = element_index();
    if (i < n)
        y[i] += x[i];
}
