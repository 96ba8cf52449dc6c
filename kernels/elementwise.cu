// Elementwise operations: y = f(x), z = f(x, y) with broadcasting, and a choice between two.
//
// One kernel per operator: its float expression arrives as a macro (-DUNARY=expf(x), -DBINARY=x + y); without one the file holds what
// needs no expression. Arrays are contiguous; where inputs are broadcast they are walked by strides.
// Launch: one thread per output element, 1-D, 256 threads a block.
// Bytes: 8 per element (unary), 12 (binary), 16 (where); flops: those of the expression.
// Limit: memory. Neighbouring threads touch neighbouring elements, so every access is coalesced except along a broadcast axis, where
// one cache line serves many threads. Six integer divisions per element at most are hidden behind memory.
// Outputs may be inputs, hence no __restrict__ there.
#include "common.cuh"

#if defined(UNARY)

// y[n] = f(x[n]; a, b)
extern "C" __global__ void elementwise_unary_f32(int n, const float* source, float* y, float a, float b)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    float x = source[i];
    y[i] = UNARY;
}

#elif defined(BINARY)

__device__ __forceinline__ float apply(float x, float y, float a)
{
    return BINARY;
}

// z[n] = f(x[n], y[n]; a)
extern "C" __global__ void elementwise_binary_f32(int n, const float* x, const float* y, float* z, float a)
{
    unsigned i = element_index();
    if (i < n)
        z[i] = apply(x[i], y[i], a);
}

// The same with x and y broadcast to the shape of z: strides A are those of x, B those of y, 0 along a repeated axis.
extern "C" __global__ void elementwise_binary_broadcast_f32(StridedWalk w, const float* x, const float* y, float* z, float a)
{
    unsigned i = element_index();
    if (i >= w.count)
        return;
    int at_x, at_y;
    walk_offsets(w, i, at_x, at_y);
    z[i] = apply(x[at_x], y[at_y], a);
}

#else

// z[n] = condition[n] != 0 ? x[n] : y[n]
extern "C" __global__ void elementwise_where_f32(
    int n, const float* __restrict__ condition, const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ z)
{
    unsigned i = element_index();
    if (i < n)
        z[i] = condition[i] != 0 ? x[i] : y[i];
}

#endif
